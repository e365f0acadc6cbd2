import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EXIT } from '../../clients/cli/exit-codes.ts';
import { createRegistryClient } from '../../clients/registry-client.ts';
import { verifyModel } from '../../clients/verify.ts';
import { ModelKind, type Version, VersionState } from '../../proto/gen/maskterial/registry/v1/model.ts';
import { type ReadBlobRequest, RegistryServiceService } from '../../proto/gen/maskterial/registry/v1/registry_service.ts';
import { refOf } from '../../proto/wire/digest.ts';
import { ServiceError } from '../../proto/wire/errors.ts';
import { createHandlers } from '../../proto/wire/handlers.ts';
import { startGrpcServer } from '../support/grpc-server.ts';
import { type ManualRetry, manualRetry } from '../support/manual-retry.ts';
import { collect, never } from '../support/registry/publish.ts';
import { runCommand } from '../support/run-command.ts';
import { isError } from '../support/service-errors.ts';

const BYTES = Buffer.from('the bytes of a blob');
const { digest, sizeBytes } = refOf(BYTES);
const BLOB = { digest, sizeBytes: BigInt(sizeBytes) };
const BUSY = new ServiceError('unavailable', 'STORAGE_UNAVAILABLE', 'busy', { retryDelayMs: 1000 });

const ARCHIVED = new ServiceError('failed-precondition', 'BLOB_ARCHIVED', 'in an archive');
const GONE = new ServiceError('not-found', 'BLOB_NOT_FOUND', 'gone');

const VERSION: Version = {
  model: 'm',
  version: 1,
  manifest: BLOB,
  artifacts: [],
  state: VersionState.VERSION_STATE_FINALIZED,
  createTime: new Date(0),
  labels: {},
  family: 'AMM',
  kind: ModelKind.MODEL_KIND_CLASSIFICATION,
};

/** A registry of one version that gives so many bytes of a stream and then fails. */
async function start(failure: ServiceError, goodBytes: (stream: number) => number) {
  const wire = createHandlers({ shutdown: new AbortController().signal, report: () => undefined });
  const offsets: number[] = [];
  const objectVersions: (string | undefined)[] = [];
  async function* read({ offsetBytes, objectVersion }: ReadBlobRequest) {
    const at = Number(offsetBytes);
    objectVersions.push(objectVersion);
    offsets.push(at);
    const end = at + goodBytes(offsets.length);
    if (end > at) {
      yield { data: BYTES.subarray(at, end) };
    }
    if (end < BYTES.byteLength) {
      throw failure;
    }
  }
  const server = await startGrpcServer(RegistryServiceService, {
    readBlob: wire.serverStream(read),
    resolveVersion: wire.unary(async () => {
      const place = { $case: 's3' as const, value: { bucket: 'b', key: 'k', versionId: 'recorded' } };
      const locations = [{ digest, locations: [{ place }] }];
      return { version: VERSION, alias: undefined, manifestJson: Buffer.alloc(0), locations };
    }),
    getVersion: wire.unary(async () => ({ version: VERSION })),
    listVersions: wire.unary(async () => ({ versions: [VERSION], nextPageToken: '' })),
  });
  const retry: ManualRetry = manualRetry();
  const client = createRegistryClient({ address: server.address }, retry);
  return {
    client,
    address: server.address,
    offsets,
    objectVersions,
    retry,
    [Symbol.asyncDispose]: async () => {
      client.close();
      await server[Symbol.asyncDispose]();
    },
  };
}

test('a blob is read on where its stream broke, as often as it goes on', async () => {
  await using bench = await start(BUSY, (stream) => (stream % 2 === 0 ? 0 : 3));
  assert.ok((await collect(bench.client.readBlob(BLOB))).equals(BYTES));
  assert.deepEqual(bench.offsets, [0, 3, 3, 6, 6, 9, 9, 12, 12, 15, 15, 18, 18]);
  assert.equal(bench.retry.waits.length, 12);
});

test('a blob of which nothing more comes is given up after a few tries', async () => {
  await using bench = await start(BUSY, () => 0);
  await assert.rejects(collect(bench.client.readBlob(BLOB)), isError('unavailable', 'STORAGE_UNAVAILABLE'));
  assert.equal(bench.offsets.length, 5);
});

test('a blob that is gone is not asked for again', async () => {
  await using bench = await start(GONE, () => 0);
  await assert.rejects(collect(bench.client.readBlob(BLOB)), isError('not-found', 'BLOB_NOT_FOUND'));
  assert.equal(bench.offsets.length, 1);
});

test('a check of all blobs outlasts a registry that is busy', async () => {
  await using bench = await start(BUSY, (stream) => (stream === 1 ? 5 : BYTES.byteLength));
  const verified = [];
  for await (const { findings } of verifyModel(bench.client, 'm', new Map(), never)) {
    verified.push(findings);
  }
  assert.deepEqual([verified, bench.offsets], [[[]], [0, 5]]);
  // What was recorded, and not what is there now.
  assert.deepEqual(bench.objectVersions, ['recorded', 'recorded']);
});

test('a blob that was stored anew is right, though the recorded object version is not', async () => {
  const failures = [
    [GONE, 'the recorded object version is gone; what is stored now is right'],
    [ARCHIVED, 'the recorded object version is archived; what is stored now is right'],
    [
      new ServiceError('data-loss', 'SIZE_MISMATCH', 'cut short'),
      'the recorded object version is damaged; what is stored now is right',
    ],
  ] as const;
  for (const [failure, notice] of failures) {
    await using bench = await start(failure, (stream) => (stream % 2 === 1 ? 0 : BYTES.byteLength));
    const [verified] = await collectAll(verifyModel(bench.client, 'm', new Map(), never));
    assert.deepEqual([verified?.findings, verified?.notices], [[], [{ path: undefined, digest, notice }]]);
    assert.deepEqual(bench.objectVersions, ['recorded', '']);
    const said = await runCommand(['verify', 'm'], { MASKTERIAL_REGISTRY: bench.address });
    assert.deepEqual([said.code, said.out.split('\n').length], [EXIT.ok, 3]);
    assert.match(said.out, new RegExp(`^m:1  the manifest  ${digest}: note: ${notice}\n1 version, .*: all as published\n$`));
    const { out } = await runCommand(['verify', 'm', '--json'], { MASKTERIAL_REGISTRY: bench.address });
    const { is_valid, findings, notices } = JSON.parse(out);
    assert.deepEqual([is_valid, findings, notices], [true, [], [{ path: null, digest, notice }]]);
  }
});

test('a blob that cannot be read as recorded and as stored now is a finding', async () => {
  for (const failure of [GONE, ARCHIVED]) {
    await using bench = await start(failure, () => 0);
    const [verified] = await collectAll(verifyModel(bench.client, 'm', new Map(), never));
    const problem = `${failure.message} [${failure.reason}]`;
    assert.deepEqual([verified?.findings, verified?.notices], [[{ path: undefined, digest, problem }], []]);
    assert.deepEqual(bench.objectVersions, ['recorded', '']);
  }
});

async function collectAll<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) {
    all.push(item);
  }
  return all;
}
