import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { CHUNK_BYTES } from '../../../proto/wire/chunks.ts';
import { refOf } from '../../../proto/wire/digest.ts';
import { createS3Client } from '../../../registry/adapters/aws/aws-clients.ts';
import { openAwsStore } from '../../../registry/adapters/aws/open-aws-store.ts';
import { S3BlobStore } from '../../../registry/adapters/aws/s3-blob-store.ts';
import { S3Bucket } from '../../../registry/adapters/aws/s3-bucket.ts';
import { s3LayoutOf } from '../../../registry/adapters/aws/s3-layout.ts';
import { systemClock } from '../../../registry/release/clock.ts';
import { createRegistry } from '../../../registry/release/registry.ts';
import {
  type AwsTestServers,
  ignoreLeftover,
  needsLocalAws,
  pace,
  startAwsTestServers,
} from '../../support/aws/aws-test-store.ts';
import { type Fault, type FaultProxy, startFaultProxy } from '../../support/aws/fault-proxy.ts';
import { collect, createClassifier, never, promotion, publish } from '../../support/registry/publish.ts';
import { chunkedBlob, sampleVersion, seededBytes } from '../../support/registry/sample-version.ts';
import { memoryLiveState } from '../../support/registry/live-state.ts';

const DYNAMO_FAULTS: readonly Fault[] = [
  { kind: 'answer', status: 400, body: '{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException"}' },
  { kind: 'answer', status: 400, body: '{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException"}' },
  { kind: 'answer', status: 500, body: '{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError"}' },
  {
    kind: 'answer',
    status: 400,
    body: '{"__type":"com.amazonaws.dynamodb.v20120810#TransactionCanceledException","CancellationReasons":[{"Code":"TransactionConflict"}]}',
  },
  { kind: 'reset' },
  { kind: 'lost-answer' },
  { kind: 'cut', afterBytes: 1 },
];

const S3_FAULTS: readonly Fault[] = [
  { kind: 'answer', status: 503, body: '<Error><Code>SlowDown</Code></Error>' },
  { kind: 'answer', status: 500, body: '<Error><Code>InternalError</Code></Error>' },
  { kind: 'answer', status: 502, body: 'no XML' },
  { kind: 'reset' },
  { kind: 'lost-answer' },
  { kind: 'cut', afterBytes: 1000 },
];

describe('a registry on AWS in trouble', needsLocalAws(), () => {
  let servers: AwsTestServers;
  const proxies: FaultProxy[] = [];
  before(async () => {
    servers = await startAwsTestServers();
  });
  after(async () => {
    await Promise.all(proxies.map((proxy) => proxy.stop()));
    await servers.stop();
  });

  const through = async (url: string | undefined) => {
    const proxy = await startFaultProxy(url ?? '');
    proxies.push(proxy);
    return proxy;
  };

  it('every third request failing in some way changes nothing but time', async () => {
    const settings = await servers.newStore();
    const [dynamo, s3] = [await through(settings.dynamoEndpoint), await through(settings.s3Endpoint)];
    const faulty = { ...settings, dynamoEndpoint: dynamo.url, s3Endpoint: s3.url };
    const { catalog, blobs, close } = await openAwsStore(faulty, { clock: systemClock, onLeftover: ignoreLeftover }, never);
    let faults = 0;
    for (const [proxy, kinds] of [
      [dynamo, DYNAMO_FAULTS],
      [s3, S3_FAULTS],
    ] as const) {
      // Each kind in turn; the one after a fault is let through.
      proxy.setFault((_, index) => (index % 3 === 0 ? kinds[faults++ % kinds.length] : undefined));
    }
    const registry = createRegistry(
      { catalog, blobs, ...memoryLiveState(), clock: systemClock, newId: () => randomUUID() },
      { feedPollMs: 10, serverTtlMs: 10_000 },
    );
    const files = [seededBytes('large', 2 * CHUNK_BYTES + 100), seededBytes('small', 100), Buffer.alloc(0)];
    try {
      await registry.createModel(
        { name: 'm', kind: 'classification', description: '', labels: { a: 'b' }, requestId: 'c' },
        never,
      );
      for (const count of [3, 2, 1]) {
        const { version, isCreated } = await publish(registry, 'm', sampleVersion(files.slice(0, count)));
        assert.deepEqual([version.version, isCreated], [4 - count, true]);
        const moved = await registry.promoteVersion(promotion({ model: 'm', version: version.version }), never);
        assert.equal(moved.alias.revision, version.version);
      }
      for (const bytes of files) {
        const read = registry.readBlob({ blob: refOf(bytes), offsetBytes: 0, lengthBytes: undefined }, never);
        assert.ok((await collect(read)).equals(bytes));
      }
      const { items } = await registry.listAliasEvents({ model: 'm', alias: '', pageSize: 0, pageToken: '' }, never);
      assert.deepEqual(
        items.map(({ state }) => [state.revision, state.version]),
        [
          [3, 3],
          [2, 2],
          [1, 1],
        ],
      );
      assert.equal(
        (await registry.listModels({ pageSize: 0, pageToken: '', labels: { a: 'b' } }, never)).items[0]?.latestVersion,
        3,
      );
      assert.ok(faults > 50, `${faults} faults`);
    } finally {
      close();
    }
  });

  it('does not wait for ever for a transfer that stands still', async () => {
    const settings = await servers.newStore();
    const proxy = await through(settings.s3Endpoint);
    const clients = [createS3Client(settings), createS3Client({ ...settings, s3Endpoint: proxy.url }, { idleMs: 300 })];
    const [writer, reader] = clients.map((client) => {
      const bucket = new S3Bucket({ client, pace, onLeftover: ignoreLeftover }, settings);
      return new S3BlobStore(bucket, s3LayoutOf(settings.prefix));
    });
    assert.ok(writer !== undefined && reader !== undefined);
    const bytes = seededBytes('stalled', 500_000);
    const upload = await writer.openUpload(chunkedBlob(bytes), never);
    await upload.putChunk(0, bytes, never);
    await upload.commit(never);
    let stalls = 0;
    proxy.setFault(({ method }) => (method === 'GET' && stalls++ < 2 ? { kind: 'stall', afterBytes: 100_000 } : undefined));
    const read = await collect(reader.read(refOf(bytes), { offsetBytes: 0, lengthBytes: bytes.byteLength }, never));
    assert.ok(read.equals(bytes));
    // On a busy machine a whole answer may take too long as well.
    assert.ok(stalls >= 3, `${stalls} answers`);
    for (const client of clients) {
      client.destroy();
    }
  });

  it('two publishers of one model through two registries, one of them in trouble, get on', async () => {
    const settings = await servers.newStore();
    const dynamo = await through(settings.dynamoEndpoint);
    dynamo.setFault((_, index) => (index % 4 === 0 ? DYNAMO_FAULTS[(index / 4) % DYNAMO_FAULTS.length] : undefined));
    const stores = await Promise.all(
      [settings, { ...settings, dynamoEndpoint: dynamo.url }].map((each) =>
        openAwsStore(each, { clock: systemClock, onLeftover: ignoreLeftover }, never),
      ),
    );
    const registries = stores.map(({ catalog, blobs }) =>
      createRegistry(
        { catalog, blobs, ...memoryLiveState(), clock: systemClock, newId: () => randomUUID() },
        { feedPollMs: 10, serverTtlMs: 10_000 },
      ),
    );
    const [first] = registries;
    assert.ok(first !== undefined);
    await createClassifier(first, 'm');
    const numbers = await Promise.all(
      registries.map(async (registry, index) => {
        const versions: number[] = [];
        for (let round = 0; round < 5; round++) {
          versions.push((await publish(registry, 'm', sampleVersion([seededBytes(`${index} ${round}`, 100)]))).version.version);
        }
        return versions;
      }),
    );
    assert.deepEqual(
      numbers.flat().toSorted((a, b) => a - b),
      [1, 2, 3, 4, 5, 6, 7, 8, 9, 10],
    );
    for (const { close } of stores) {
      close();
    }
  });
});
