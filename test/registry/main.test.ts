import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { it } from 'node:test';
import Libsql from 'libsql';
import { createLogger } from '../../infra/process/log.ts';
import type { UploadBlobRequest } from '../../proto/gen/maskterial/registry/v1/registry_service.ts';
import { callClientStream, callUnary } from '../../proto/wire/calls.ts';
import { CHUNK_BYTES, MESSAGE_BYTES } from '../../proto/wire/chunks.ts';
import { refOf } from '../../proto/wire/digest.ts';
import { prepareLayout } from '../../registry/adapters/embedded/layout.ts';
import { readRegistryConfig } from '../../registry/config.ts';
import { REGISTRY_SERVICE, startRegistry } from '../../registry/main.ts';
import { deferred } from '../support/deferred.ts';
import { healthClient, NOT_SERVING, SERVING } from '../support/health-check.ts';
import { memoryLog } from '../support/memory-log.ts';
import { bytesOf, createClassifier, never, promotion, publish, stage, upload } from '../support/registry/publish.ts';
import { startRegistryServer } from '../support/registry/registry-server.ts';
import { sampleVersion, seededBytes, smallVersion } from '../support/registry/sample-version.ts';
import { temporaryFolder } from '../support/registry/temporary-folder.ts';
import { hasViolationAt, isError, rejection } from '../support/service-errors.ts';

it('keeps models, versions, aliases and stagings over a restart', async () => {
  await using folder = await temporaryFolder();
  let stagingId = '';
  let cursor = '';
  {
    await using server = await startRegistryServer(folder.path);
    const { registry } = server;
    await createClassifier(registry, 'm');
    await publish(registry, 'm', smallVersion('one'));
    await registry.promoteVersion(promotion({ model: 'm', version: 1 }), never);
    stagingId = await stage(registry, 'm', smallVersion('two'));
    for await (const event of registry.watchAliases({ cursor: '', heartbeatSeconds: 1 }, never)) {
      cursor = event.cursor;
      break;
    }
  }
  await using server = await startRegistryServer(folder.path);
  const { registry } = server;
  assert.equal((await registry.getModel('m', never)).aliases[0]?.version, 1);
  assert.equal((await registry.getStaging(stagingId, never)).blobs.length, 2);
  await publish(registry, 'm', smallVersion('two'));
  await registry.promoteVersion(promotion({ model: 'm', version: 2 }), never);
  for await (const event of registry.watchAliases({ cursor, heartbeatSeconds: 1 }, never)) {
    assert.ok(event.kind === 'change');
    assert.equal(event.alias.version, 2);
    break;
  }
});

it('ends watches as UNAVAILABLE at shutdown', async () => {
  await using folder = await temporaryFolder();
  await using server = await startRegistryServer(folder.path);
  const events = server.registry.watchAliases({ cursor: '', heartbeatSeconds: 3600 }, never)[Symbol.asyncIterator]();
  assert.equal((await events.next()).value.kind, 'snapshot');
  const waiting = events.next();
  const stopped = server.running.stop();
  await assert.rejects(Promise.resolve(waiting), isError('unavailable', 'SHUTTING_DOWN'));
  await stopped;
});

it('two servers on one folder are one registry', async () => {
  await using folder = await temporaryFolder();
  await using first = await startRegistryServer(folder.path);
  await using second = await startRegistryServer(folder.path);
  await createClassifier(first.registry, 'm');
  await publish(second.registry, 'm', smallVersion('one'));
  const events = first.registry.watchAliases({ cursor: '', heartbeatSeconds: 3600 }, never)[Symbol.asyncIterator]();
  await events.next();
  const waiting = events.next();
  await second.registry.promoteVersion(promotion({ model: 'm', version: 1 }), never);
  const { value } = await waiting;
  assert.ok(value.kind === 'change' && value.alias.version === 1);
  await events.return?.();
});

it('tells the caller of a message or a manifest that is too large', async () => {
  await using folder = await temporaryFolder();
  await using server = await startRegistryServer(folder.path);
  const { client, registry } = server;
  await createClassifier(registry, 'm');
  const bytes = seededBytes('large', 2 * MESSAGE_BYTES);
  const stagingId = await stage(registry, 'm', sampleVersion([bytes]));
  const { digest, sizeBytes } = refOf(bytes);
  const header = { stagingId, blob: { digest, sizeBytes: BigInt(sizeBytes) }, firstChunk: 0 };
  const messages = [{ part: { $case: 'header' as const, value: header } }, { part: { $case: 'data' as const, value: bytes } }];
  await assert.rejects(callClientStream(client.uploadBlob.bind(client), messages), hasViolationAt('INVALID_REQUEST', 'data'));
  const request = { model: 'm', manifestJson: Buffer.alloc(MESSAGE_BYTES + 1), labels: {}, requestId: '' };
  await assert.rejects(callUnary(client.stageVersion.bind(client), request), hasViolationAt('INVALID_MANIFEST', 'manifest_json'));
});

it('does not start on a folder or an address that it cannot use', async () => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, 'file');
  await writeFile(file, '');
  const logger = createLogger('silent', 'registry');
  const unusable = readRegistryConfig({ REGISTRY_DATA: file, REGISTRY_PORT: '0' });
  await assert.rejects(startRegistry(unusable, { logger }), isError('failed-precondition', 'STORAGE_UNAVAILABLE'));
  await using server = await startRegistryServer(join(folder.path, 'data'));
  const port = server.running.address.split(':').at(-1);
  const taken = readRegistryConfig({ REGISTRY_DATA: join(folder.path, 'other'), REGISTRY_PORT: port });
  await assert.rejects(startRegistry(taken, { logger }), isError('failed-precondition', 'CANNOT_LISTEN'));
});

it('does not start below a file, or in a file system that makes no folders', async () => {
  await using folder = await temporaryFolder();
  const file = join(folder.path, 'file');
  await writeFile(file, '');
  const logger = createLogger('silent', 'registry');
  for (const path of [join(file, 'data', 'registry'), ...(process.platform === 'linux' ? ['/proc/maskterial/registry'] : [])]) {
    const config = readRegistryConfig({ REGISTRY_DATA: path, REGISTRY_PORT: '0' });
    const error = await rejection(startRegistry(config, { logger }));
    assert.deepEqual([error.kind, error.reason], ['failed-precondition', 'STORAGE_UNAVAILABLE']);
    assert.ok(error.message.includes(path), error.message);
  }
});

it('does not start on a damaged catalog, and says that trying later is no use', async () => {
  await using folder = await temporaryFolder();
  const { catalog } = await prepareLayout(folder.path);
  await writeFile(catalog, 'not a database, '.repeat(1000));
  const config = readRegistryConfig({ REGISTRY_DATA: folder.path, REGISTRY_PORT: '0' });
  const error = await rejection(startRegistry(config, { logger: createLogger('silent', 'registry') }));
  assert.deepEqual([error.kind, error.reason], ['failed-precondition', 'STORAGE_UNAVAILABLE']);
  assert.ok(error.message.includes(folder.path));
});

it('sends nobody to setup for the bucket of another region', async () => {
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' });
  for (const [status, isAdvised] of [
    [404, true],
    [301, false],
  ] as const) {
    const aws = createServer(({ method }, answer) =>
      method === 'HEAD'
        ? answer.writeHead(status).end()
        : answer.end(JSON.stringify({ Item: { storeId: { S: 'store' }, format: { N: '1' } } })),
    ).listen(0, '127.0.0.1');
    await once(aws, 'listening');
    const url = `http://127.0.0.1:${(aws.address() as AddressInfo).port}`;
    const config = readRegistryConfig({
      REGISTRY_PORT: '0',
      MODELS_S3_BUCKET: 'bucket',
      AWS_REGION: 'us-east-1',
      AWS_ENDPOINT_URL_S3: url,
      AWS_ENDPOINT_URL_DYNAMODB: url,
    });
    const error = await rejection(startRegistry(config, { logger: createLogger('silent', 'registry') }));
    aws.closeAllConnections();
    aws.close();
    assert.deepEqual([error.kind, error.reason], ['failed-precondition', 'BUCKET_NOT_FOUND']);
    assert.equal(error.message.includes('maskterial setup'), isAdvised, error.message);
  }
});

it('writes one line a call, with what it was about, and nothing that gives a right', async () => {
  await using folder = await temporaryFolder();
  const { logger, lines } = memoryLog();
  let stagingId = '';
  {
    await using server = await startRegistryServer(folder.path, {}, logger);
    const { registry } = server;
    await createClassifier(registry, 'm');
    stagingId = await stage(registry, 'm', smallVersion('one'));
    await publish(registry, 'm', smallVersion('one'));
    await rejection(registry.getModel('absent', never));
  }
  const calls = lines.filter(({ component }) => component === 'rpc');
  const methods = calls.map(({ method, code }) => `${String(method).split('/').at(-1)} ${String(code)}`);
  assert.deepEqual(methods.slice(0, 2), ['CreateModel OK', 'StageVersion OK']);
  assert.equal(methods.at(-1), 'GetModel NOT_FOUND');
  const finalized = calls.find(({ method }) => String(method).endsWith('/FinalizeVersion'));
  assert.deepEqual([finalized?.['model'], finalized?.['version']], ['m', 1]);
  assert.ok(calls.every(({ requestId, peer, durationMs }) => requestId !== '' && peer !== '' && Number(durationMs) >= 0));
  assert.ok(!JSON.stringify(lines).includes(stagingId));
});

it('its health says whether its catalog can be reached', async () => {
  await using folder = await temporaryFolder();
  const config = readRegistryConfig({ REGISTRY_DATA: folder.path, REGISTRY_PORT: '0' });
  const server = await startRegistry({ ...config, catalogProbeMs: 10 }, { logger: createLogger('silent', 'registry') });
  using health = healthClient(server.address);
  const states = health.watch(REGISTRY_SERVICE);
  assert.equal((await states.next()).value, SERVING);
  // Somebody else's hand in the file: the catalog is there and does not answer.
  const database = new Libsql((await prepareLayout(folder.path)).catalog);
  database.exec('ALTER TABLE store RENAME TO gone');
  assert.equal((await states.next()).value, NOT_SERVING);
  assert.equal(await health.check(''), SERVING, 'the process lives');
  database.exec('ALTER TABLE gone RENAME TO store');
  database.close();
  assert.equal((await states.next()).value, SERVING);
  await states.return(undefined);
  await server.stop();
});

it('ends an upload whose client falls silent, keeps its whole chunks, and goes on with it', async () => {
  await using folder = await temporaryFolder();
  await using server = await startRegistryServer(folder.path, { REGISTRY_UPLOAD_IDLE_MS: '1000' });
  const { client, registry } = server;
  await createClassifier(registry, 'm');
  const bytes = seededBytes('silent', CHUNK_BYTES + 10);
  const stagingId = await stage(registry, 'm', sampleVersion([bytes]));
  const { digest, sizeBytes } = refOf(bytes);
  const header = { stagingId, blob: { digest, sizeBytes: BigInt(sizeBytes) }, firstChunk: 0 };
  const silence = deferred();
  const messages = async function* (): AsyncGenerator<UploadBlobRequest> {
    yield { part: { $case: 'header', value: header } };
    for await (const data of bytesOf(bytes.subarray(0, CHUNK_BYTES + 1))) {
      yield { part: { $case: 'data', value: Buffer.from(data) } };
    }
    await silence.promise;
  };
  const verified = async () => (await registry.getStaging(stagingId, never)).blobs[0]?.verifiedChunks ?? [];
  // On a machine that is busy for longer than the limit the first silence may come before the whole chunk.
  while ((await verified()).length === 0) {
    await assert.rejects(callClientStream(client.uploadBlob.bind(client), messages()), isError('unavailable', 'UPLOAD_STALLED'));
  }
  silence.resolve();
  assert.deepEqual(await verified(), [{ first: 0, count: 1 }]);
  const rest = await upload(registry, stagingId, bytes, { firstChunk: 1 }).catch((error: unknown) => {
    isError('unavailable', 'UPLOAD_STALLED')(error);
    return undefined;
  });
  // On such a machine the rest may stall too, and a registry that has more patience takes it.
  await using patient = await startRegistryServer(folder.path);
  assert.equal((rest ?? (await upload(patient.registry, stagingId, bytes, { firstChunk: 1 }))).isComplete, true);
});
