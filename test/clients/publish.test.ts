import assert from 'node:assert/strict';
import { after, beforeEach, test } from 'node:test';
import type { PublishProgress } from '../../clients/publish.ts';
import { createRegistryClient, type RegistryClient } from '../../clients/registry-client.ts';
import { ModelKind } from '../../proto/gen/maskterial/registry/v1/model.ts';
import { CHUNK_BYTES, regroup } from '../../proto/wire/chunks.ts';
import { ServiceError } from '../../proto/wire/errors.ts';
import { FakeRegistry } from '../support/fake-registry.ts';
import type { TestServer } from '../support/grpc-server.ts';
import { type ManualRetry, manualRetry } from '../support/manual-retry.ts';
import { fileContent, manifestFor, publishFile } from '../support/publishable-files.ts';
import { isError, rejection } from '../support/service-errors.ts';

const GRAPH = fileContent(3, 100, 7);
const SMALL = fileContent(0, 1000, 9);
const MANIFEST = manifestFor({ 'model.onnx': GRAPH, 'weights/a.bin': SMALL });

let registry: FakeRegistry;
let server: TestServer;
let client: RegistryClient;
let waits: ManualRetry;

beforeEach(async () => {
  await server?.[Symbol.asyncDispose]();
  client?.close();
  registry = new FakeRegistry();
  server = await registry.start();
  waits = manualRetry();
  client = createRegistryClient({ address: server.address }, waits);
  await client.createModel({ name: 'M', kind: ModelKind.MODEL_KIND_CLASSIFICATION });
});
after(async () => {
  client.close();
  await server[Symbol.asyncDispose]();
});

function broken(): ServiceError {
  return new ServiceError('unavailable', 'STORAGE_UNAVAILABLE', 'broken on purpose');
}

test('sends everything once, reports progress, gives the version', async () => {
  const progress: PublishProgress[] = [];
  const files = [publishFile('model.onnx', GRAPH), publishFile('weights/a.bin', SMALL)];
  const { version, created, uploadedBytes } = await client.publishVersion({
    model: 'M',
    manifestBytes: MANIFEST,
    files,
    labels: { stage: 'test' },
    onProgress: (event) => progress.push(event),
  });
  assert.equal(version.version, 1);
  assert.deepEqual(version.labels, { stage: 'test' });
  assert.equal(created, true);
  assert.equal(uploadedBytes, GRAPH.byteLength + SMALL.byteLength);
  assert.deepEqual(
    registry.blobs.uploads.map(({ first, count }) => ({ first, count })),
    [
      { first: 0, count: 4 },
      { first: 0, count: 1 },
    ],
  );
  assert.deepEqual(registry.blobs.chunks.get(files[0]?.ref.digest ?? '')?.get(3), GRAPH.subarray(3 * CHUNK_BYTES));
  assert.equal(progress[0]?.stage, 'staged');
  assert.deepEqual(progress.at(-1), { stage: 'finalizing', sentBytes: uploadedBytes, missingBytes: uploadedBytes });
});

test('files that the registry holds are not read, and the same content is the same version', async () => {
  const first = [publishFile('model.onnx', GRAPH), publishFile('weights/a.bin', SMALL)];
  await client.publishVersion({ model: 'M', manifestBytes: MANIFEST, files: first });
  const again = [publishFile('model.onnx', GRAPH), publishFile('weights/a.bin', SMALL)];
  const { version, created, uploadedBytes } = await client.publishVersion({ model: 'M', manifestBytes: MANIFEST, files: again });
  assert.deepEqual([version.version, created, uploadedBytes], [1, false, 0]);
  assert.deepEqual(
    again.map(({ reads }) => reads()),
    [0, 0],
  );
});

test('sends only the chunks that are missing, also from the middle', async () => {
  const file = publishFile('model.onnx', GRAPH);
  const held = new Map<number, Buffer>();
  let index = 0;
  for await (const chunk of regroup(file.read())) {
    if (index === 0 || index === 2) {
      held.set(index, chunk);
    }
    index += 1;
  }
  registry.blobs.chunks.set(file.ref.digest, held);
  const { uploadedBytes } = await client.publishVersion({
    model: 'M',
    manifestBytes: MANIFEST,
    files: [file, publishFile('weights/a.bin', SMALL)],
  });
  assert.deepEqual(
    registry.blobs.uploads.slice(0, 2).map(({ first, count }) => ({ first, count })),
    [
      { first: 1, count: 1 },
      { first: 3, count: 1 },
    ],
  );
  assert.equal(uploadedBytes, CHUNK_BYTES + 100 + SMALL.byteLength);
});

test('a broken upload is resumed where the registry says it stands', async () => {
  registry.fail = (what, count) => {
    if (what === 'uploadBlob:chunk' && count === 2) {
      throw broken();
    }
  };
  const progress: PublishProgress[] = [];
  const files = [publishFile('model.onnx', GRAPH), publishFile('weights/a.bin', SMALL)];
  const { version } = await client.publishVersion({
    model: 'M',
    manifestBytes: MANIFEST,
    files,
    onProgress: (event) => progress.push(event),
  });
  assert.equal(version.version, 1);
  assert.deepEqual(
    registry.blobs.uploads.map(({ first }) => first),
    [0, 2, 0],
  );
  const resumed = progress.find(({ stage }) => stage === 'resuming');
  assert.equal(resumed?.sentBytes, 2 * CHUNK_BYTES);
  assert.equal(resumed?.error?.reason, 'STORAGE_UNAVAILABLE');
  assert.equal(waits.waits.length, 1);
});

test('gives up after so many breaks in a row that brought nothing', async () => {
  registry.fail = (what) => {
    if (what === 'uploadBlob') {
      throw broken();
    }
  };
  const files = [publishFile('model.onnx', GRAPH), publishFile('weights/a.bin', SMALL)];
  const retry = { attempts: 3, firstDelayMs: 1, maxDelayMs: 1 };
  const outcome = client.publishVersion({ model: 'M', manifestBytes: MANIFEST, files }, { retry });
  assert.equal((await rejection(outcome)).reason, 'STORAGE_UNAVAILABLE');
  assert.equal(registry.calls.filter((what) => what === 'uploadBlob').length, 3);
  assert.ok(!registry.calls.includes('finalizeVersion'));
});

test('an upload that goes forward between breaks is not given up', async () => {
  registry.fail = (what) => {
    if (what === 'uploadBlob:chunk') {
      throw broken();
    }
  };
  const files = [publishFile('model.onnx', GRAPH), publishFile('weights/a.bin', SMALL)];
  const retry = { attempts: 2, firstDelayMs: 1, maxDelayMs: 1 };
  assert.equal((await client.publishVersion({ model: 'M', manifestBytes: MANIFEST, files }, { retry })).version.version, 1);
});

test('staging and finalizing are retried under one request id each', async () => {
  registry.fail = (what, count) => {
    if ((what === 'finalizeVersion' || what === 'stageVersion') && count === 1) {
      throw broken();
    }
  };
  const files = [publishFile('model.onnx', GRAPH), publishFile('weights/a.bin', SMALL)];
  assert.equal((await client.publishVersion({ model: 'M', manifestBytes: MANIFEST, files })).version.version, 1);
  const [firstStage, secondStage, firstFinalize, secondFinalize] = registry.requestIds;
  assert.equal(registry.requestIds.length, 4);
  assert.equal(firstStage, secondStage);
  assert.equal(firstFinalize, secondFinalize);
  assert.notEqual(firstStage, firstFinalize);
});

test('a file that is not what the manifest says is data loss, and is not retried', async () => {
  const wrong = Buffer.from(GRAPH);
  wrong.set([99], CHUNK_BYTES + 5);
  const files = [
    { ...publishFile('model.onnx', wrong), ref: publishFile('model.onnx', GRAPH).ref },
    publishFile('weights/a.bin', SMALL),
  ];
  await assert.rejects(
    client.publishVersion({ model: 'M', manifestBytes: MANIFEST, files }),
    isError('data-loss', 'DIGEST_MISMATCH'),
  );
  assert.equal(registry.versions.length, 0);
});

for (const [name, content] of [
  ['shorter', GRAPH.subarray(0, GRAPH.byteLength - 1)],
  ['longer', Buffer.concat([GRAPH, Buffer.from('x')])],
] as const) {
  test(`a file ${name} than declared is found before it is sent whole`, async () => {
    const files = [
      { ...publishFile('model.onnx', content), ref: publishFile('model.onnx', GRAPH).ref },
      publishFile('weights/a.bin', SMALL),
    ];
    await assert.rejects(
      client.publishVersion({ model: 'M', manifestBytes: MANIFEST, files }),
      isError('data-loss', 'SIZE_MISMATCH'),
    );
  });
}

test('a file that was not given is named', async () => {
  const outcome = client.publishVersion({ model: 'M', manifestBytes: MANIFEST, files: [publishFile('model.onnx', GRAPH)] });
  const error = await rejection(outcome);
  assert.equal(error.reason, 'BLOBS_MISSING');
  assert.ok(error.message.includes(publishFile('weights/a.bin', SMALL).ref.digest));
});

test('an abort stops an upload', async () => {
  const controller = new AbortController();
  const files = [publishFile('model.onnx', GRAPH), publishFile('weights/a.bin', SMALL)];
  const onProgress = ({ stage }: PublishProgress): void => {
    if (stage === 'uploading') {
      controller.abort();
    }
  };
  const outcome = client.publishVersion(
    { model: 'M', manifestBytes: MANIFEST, files, onProgress },
    { signal: controller.signal },
  );
  assert.equal((await rejection(outcome)).kind, 'cancelled');
});
