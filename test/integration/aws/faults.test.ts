import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it, type TestContext } from 'node:test';
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
import { DYNAMO_FAULTS, type FaultKind, S3_FAULTS, standsStill } from '../../support/aws/fault-kinds.ts';
import { type FaultProxy, startFaultProxy } from '../../support/aws/fault-proxy.ts';
import { comparable, stateOf } from '../../support/aws/store-state.ts';
import { openTroubledStore } from '../../support/aws/troubled-store.ts';
import { memoryLiveState } from '../../support/registry/live-state.ts';
import { collect, createClassifier, never, publish } from '../../support/registry/publish.ts';
import { tellStory } from '../../support/registry/release-story.ts';
import { chunkedBlob, sampleVersion, seededBytes } from '../../support/registry/sample-version.ts';

/** Of these, and of waiting for what never comes less often: that takes time. */
const EVERY = 3;
const EVERY_STALL = 25;
/** Those that concern any request and are over at once. */
const QUICK = DYNAMO_FAULTS.filter((kind) => everyOf(kind) === EVERY && !kind.name.includes('transaction'));

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

  // They mostly wait.
  describe('every call of the contract, and what table and bucket hold after it', { concurrency: 3 }, () => {
    const atMs = Date.now() + 3_600_000;
    const tell = async (troubles: Omit<Parameters<typeof openTroubledStore>[1], 'every'>, every: number) => {
      const settings = await servers.newStore();
      await using store = await openTroubledStore(settings, { ...troubles, every });
      const story = comparable(await tellStory(store, atMs), settings);
      assert.deepEqual(store.leftovers, []);
      return { story, state: await stateOf(settings), faults: store.faults() };
    };
    let calm: Awaited<ReturnType<typeof tell>>;
    before(async () => {
      calm = await tell({}, EVERY);
    });
    const check = async (t: TestContext, troubles: Parameters<typeof tell>[0], every: number): Promise<void> => {
      const { story, state, faults } = await tell(troubles, every);
      t.diagnostic(`${faults} requests failed`);
      assert.ok(faults > 0);
      assert.deepEqual(story, calm.story);
      assert.deepEqual(state, calm.state);
    };

    it('are two times the same where nothing fails', async () => {
      const again = await tell({}, EVERY);
      assert.deepEqual(again, calm);
    });
    for (const kind of DYNAMO_FAULTS) {
      it(`are the same with ${kind.name}, of DynamoDB`, (t) => check(t, { dynamo: kind }, everyOf(kind)));
    }
    for (const kind of S3_FAULTS) {
      it(`are the same with ${kind.name}, of S3`, (t) => check(t, { s3: kind }, everyOf(kind)));
    }
  });

  it('does not wait for ever for a transfer that stands still', async () => {
    const settings = await servers.newStore();
    const proxy = await through(settings.s3Endpoint);
    const clients = [createS3Client(settings), createS3Client({ ...settings, s3Endpoint: proxy.url }, { idleMs: 1_000 })];
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
    dynamo.setFault((_, index) => (index % 4 === 0 ? QUICK[(index / 4) % QUICK.length]?.fault : undefined));
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

function everyOf(kind: FaultKind): number {
  return standsStill(kind) ? EVERY_STALL : EVERY;
}
