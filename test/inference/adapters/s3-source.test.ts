import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, beforeEach, test } from 'node:test';
import { S3Access, type S3Object } from '../../../inference/adapters/s3-source.ts';
import { refOf } from '../../../proto/wire/digest.ts';
import { collect, never } from '../../support/registry/publish.ts';
import { isError } from '../../support/service-errors.ts';

const BYTES = Buffer.from('0123456789abcdefghij');
const OBJECT = { bucket: 'models', key: 'lab/blobs/sha256/ab/abcd', versionId: 'v 1' };
const CREDENTIALS = { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' };

let answer: (request: IncomingMessage, response: ServerResponse) => void = () => undefined;
const requests: IncomingMessage[] = [];
const server = createServer((request, response) => {
  requests.push(request);
  answer(request, response);
});
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
const opened: S3Access[] = [];

beforeEach(() => {
  requests.length = 0;
  answer = give(BYTES);
  Object.assign(process.env, CREDENTIALS);
});
after(async () => {
  await Promise.all(opened.map((access) => access.close()));
  server.closeAllConnections();
  server.close();
});

/** Answers a range of `bytes` as S3 does. */
function give(bytes: Buffer, headers: Readonly<Record<string, string>> = {}) {
  return (request: IncomingMessage, response: ServerResponse): void => {
    const [, first = 0, last = 0] = (/bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '') ?? []).map(Number);
    const range = `bytes ${first}-${last}/${bytes.byteLength}`;
    response.writeHead(206, { etag: '"tag-1"', 'content-range': range, ...headers }).end(bytes.subarray(first, last + 1));
  };
}

/** Begins to answer and does not go on. Resolves once the connection of the request is closed. */
function giveAPart(): Promise<void> {
  return new Promise((resolve) => {
    answer = ({ socket }, response) => {
      socket.once('close', () => resolve());
      response.writeHead(206, { 'content-length': '20', 'content-range': 'bytes 0-19/20' });
      response.write(BYTES.subarray(0, 5));
    };
  });
}

function refuse(status: number, code: string) {
  return (_: IncomingMessage, response: ServerResponse): void => {
    response.writeHead(status, { 'content-type': 'application/xml' }).end(`<Error><Code>${code}</Code></Error>`);
  };
}

function open(object: Partial<S3Object> = {}, nowMs = () => 0, url = endpoint) {
  const access = new S3Access({ nowMs }, { region: 'us-east-1', endpoint: url });
  opened.push(access);
  const source = access.source({ ...OBJECT, ...object });
  const read = (offsetBytes = 0, lengthBytes = BYTES.byteLength, signal = never): Promise<Buffer> =>
    collect(source.open(refOf(BYTES), { offsetBytes, lengthBytes }, signal));
  return { access, source, read };
}

test('reads a range of the very object that was recorded', async () => {
  const { source, read } = open();
  assert.equal(source.name, 's3://models/lab/blobs/sha256/ab/abcd');
  assert.ok((await read(3, 5)).equals(BYTES.subarray(3, 8)));
  const [request] = requests;
  const url = new URL(request?.url ?? '', endpoint);
  assert.deepEqual([url.pathname, url.searchParams.get('versionId')], ['/models/lab/blobs/sha256/ab/abcd', 'v 1']);
  assert.equal(request?.headers['if-match'], undefined);
  assert.equal((await read(3, 0)).byteLength, 0);
  assert.equal(requests.length, 1);
});

test('without versions, takes all ranges of one object', async () => {
  const { read } = open({ versionId: '' });
  await read(0, 5);
  await read(5, 5);
  assert.deepEqual(
    requests.map(({ headers, url }) => [headers['if-match'], url?.includes('versionId')]),
    [
      [undefined, false],
      ['"tag-1"', false],
    ],
  );
  answer = refuse(412, 'PreconditionFailed');
  await assert.rejects(read(10, 5), isError('unavailable', 'STORAGE_UNAVAILABLE'));
  // It was written anew: from now on all ranges are of the new one.
  answer = give(BYTES, { etag: '"tag-2"' });
  await read(10, 5);
  await read(15, 5);
  assert.deepEqual(
    requests.slice(-2).map(({ headers }) => headers['if-match']),
    [undefined, '"tag-2"'],
  );
});

test('says what is absent or archived, has another size, or may not be read', async () => {
  const cases = [
    [refuse(404, 'NoSuchKey'), 'not-found', 'BLOB_NOT_FOUND'],
    [refuse(404, 'NoSuchVersion'), 'not-found', 'BLOB_NOT_FOUND'],
    [refuse(404, 'NoSuchBucket'), 'not-found', 'BLOB_NOT_FOUND'],
    [refuse(405, 'MethodNotAllowed'), 'not-found', 'BLOB_NOT_FOUND'],
    [give(Buffer.concat([BYTES, BYTES])), 'data-loss', 'SIZE_MISMATCH'],
    [refuse(403, 'InvalidObjectState'), 'failed-precondition', 'BLOB_ARCHIVED'],
    [refuse(416, 'InvalidRange'), 'data-loss', 'SIZE_MISMATCH'],
    [refuse(403, 'AccessDenied'), 'unavailable', 'STORAGE_UNAVAILABLE'],
    [refuse(503, 'SlowDown'), 'unavailable', 'STORAGE_UNAVAILABLE'],
  ] as const;
  for (const [refusal, kind, reason] of cases) {
    answer = refusal;
    await assert.rejects(open().read(), isError(kind, reason));
  }
});

test('says that a transfer broke off', async () => {
  answer = (_, response) => {
    response.writeHead(206, { 'content-length': '20', 'content-range': 'bytes 0-19/20' });
    response.write(BYTES.subarray(0, 5), () => response.destroy());
  };
  await assert.rejects(open().read(), isError('unavailable', 'STORAGE_UNAVAILABLE'));
});

test('ends with its caller, before and in the middle of a transfer', async () => {
  const { source, read } = open();
  await assert.rejects(read(0, 5, AbortSignal.abort()), isError('cancelled', 'CANCELLED'));
  assert.equal(requests.length, 0);
  const caller = new AbortController();
  const left = giveAPart();
  const reading = (async () => {
    for await (const _ of source.open(refOf(BYTES), { offsetBytes: 0, lengthBytes: 20 }, caller.signal)) {
      caller.abort();
    }
  })();
  await assert.rejects(reading, isError('cancelled', 'CANCELLED'));
  await left;
});

test('leaves no transfer running that nobody reads', async () => {
  const { source } = open();
  const left = giveAPart();
  for await (const _ of source.open(refOf(BYTES), { offsetBytes: 0, lengthBytes: 20 }, never)) {
    break;
  }
  await left;
});

test('leaves S3 alone for five minutes where it is out of reach', async () => {
  let nowMs = 0;
  // A port that no system gives to whoever asks for a free one.
  const { access, read } = open({}, () => nowMs, 'http://127.0.0.1:1');
  await assert.rejects(read(), isError('unavailable', 'STORAGE_UNAVAILABLE'));
  const other = access.source({ ...OBJECT, key: 'other' });
  const reading = () => collect(other.open(refOf(BYTES), { offsetBytes: 0, lengthBytes: 5 }, never));
  await assert.rejects(reading, /a while ago: ECONNREFUSED/);
  nowMs = 300_001;
  await assert.rejects(reading, (error) => error instanceof Error && !error.message.includes('a while ago'));
});

test('asks again where connections only broke', async () => {
  const { read } = open();
  answer = (request) => void request.socket.destroy();
  await assert.rejects(read(), isError('unavailable', 'STORAGE_UNAVAILABLE'));
  answer = give(BYTES);
  assert.ok((await read()).equals(BYTES));
});

test('a server without credentials asks once and then leaves S3 alone', async () => {
  for (const name of Object.keys(CREDENTIALS)) {
    delete process.env[name];
  }
  // No other place may have some, and no network is asked.
  Object.assign(process.env, {
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_SHARED_CREDENTIALS_FILE: '/nowhere',
    AWS_CONFIG_FILE: '/nowhere',
  });
  const { read } = open();
  await assert.rejects(read(), isError('unavailable', 'STORAGE_UNAVAILABLE'));
  await assert.rejects(read(), /a while ago: CredentialsProviderError/);
  assert.equal(requests.length, 0);
});
