import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { type DownloadDeps, downloadFile } from '../../../clients/zenodo/download.ts';
import { Fetcher } from '../../../clients/zenodo/fetcher.ts';
import { type RecordFile, readRecord } from '../../../clients/zenodo/record.ts';
import { type ErrorKind, type ErrorReason, ServiceError } from '../../../proto/wire/errors.ts';
import { type ManualRetry, manualRetry } from '../../support/manual-retry.ts';
import { temporaryFolder } from '../../support/registry/temporary-folder.ts';
import { isError, rejection } from '../../support/service-errors.ts';
import { ZenodoServer } from '../../support/zenodo-server.ts';

const RETRY = { attempts: 3, firstDelayMs: 100, maxDelayMs: 1000 };
const NAME = 'CLS_AMM_GrapheneH.zip';
const BYTES = Buffer.alloc(300_000, 'some bytes of a bundle, ');
const NO_ABORT = new AbortController().signal;

interface Scene {
  readonly server: ZenodoServer;
  readonly folder: string;
  readonly file: RecordFile;
  readonly deps: DownloadDeps & { readonly retryDeps: ManualRetry };
}

/** Of a transfer that brings nothing; nothing waits for it but the test that lets it pass. */
const IDLE_MS = 20_000;

async function scene(t: TestContext): Promise<Scene> {
  const server = await ZenodoServer.start('15765516', new Map([[NAME, BYTES]]));
  t.after(() => server[Symbol.asyncDispose]());
  const retryDeps = manualRetry();
  const fetcher = new Fetcher(retryDeps, { retry: RETRY, idleMs: IDLE_MS });
  const { files } = await readRecord(fetcher, server.url, '15765516', NO_ABORT);
  const [file] = files;
  assert.ok(file !== undefined);
  const folder = await temporaryFolder();
  t.after(() => folder[Symbol.asyncDispose]());
  const onProgress = (): void => server.breakOff();
  return { server, folder: folder.path, file, deps: { fetcher, retryDeps, retry: RETRY, onProgress } };
}

test('a file arrives whole, with progress to its end, and is not fetched again', async (t) => {
  const { server, folder, file, deps } = await scene(t);
  const seen: number[] = [];
  const path = await downloadFile(file, folder, { ...deps, onProgress: (bytes) => void seen.push(bytes) }, NO_ABORT);
  assert.deepEqual(await readFile(path), BYTES);
  assert.equal(seen.at(-1), BYTES.byteLength);
  await downloadFile(file, folder, deps, NO_ABORT);
  assert.equal(server.asked.length, 1);
  assert.deepEqual(await readdir(folder), [NAME]);
});

test('a file that is there with other bytes is fetched', async (t) => {
  const { folder, file, deps } = await scene(t);
  await writeFile(join(folder, NAME), Buffer.alloc(BYTES.byteLength));
  assert.deepEqual(await readFile(await downloadFile(file, folder, deps, NO_ABORT)), BYTES);
});

test('broken transfers are gone on from where they broke', async (t) => {
  const { server, folder, file, deps } = await scene(t);
  server.fail(NAME, { kind: 'break', afterBytes: 100_000 }, { kind: 'break', afterBytes: 50_000 });
  assert.deepEqual(await readFile(await downloadFile(file, folder, deps, NO_ABORT)), BYTES);
  const starts = server.asked.map(({ range }) => Number(/\d+/.exec(range ?? '0')?.[0]));
  assert.ok(
    starts.length === 3 && starts[0] === 0 && (starts[1] ?? 0) > 0 && (starts[2] ?? 0) > (starts[1] ?? 0),
    String(starts),
  );
});

test('what an earlier run got is kept', async (t) => {
  const { server, folder, file, deps } = await scene(t);
  await writeFile(join(folder, `${NAME}.part`), BYTES.subarray(0, 200_000));
  assert.deepEqual(await readFile(await downloadFile(file, folder, deps, NO_ABORT)), BYTES);
  assert.deepEqual(server.asked, [{ name: NAME, range: 'bytes=200000-' }]);
});

for (const [what, left] of [
  ['of another file', Buffer.alloc(200_000, 'x')],
  ['longer than the file', Buffer.concat([BYTES, BYTES])],
] as const) {
  test(`what an earlier run left ${what} is dropped, and the file fetched from its start`, async (t) => {
    const { folder, file, deps } = await scene(t);
    await writeFile(join(folder, `${NAME}.part`), left);
    assert.deepEqual(await readFile(await downloadFile(file, folder, deps, NO_ABORT)), BYTES);
  });
}

test('a server without ranges sends all of it again', async (t) => {
  const { server, folder, file, deps } = await scene(t);
  server.fail(NAME, { kind: 'break', afterBytes: 100_000 }, { kind: 'ignore-range' });
  assert.deepEqual(await readFile(await downloadFile(file, folder, deps, NO_ABORT)), BYTES);
});

test('another range than the one asked for is not taken', async (t) => {
  const { server, folder, file, deps } = await scene(t);
  server.fail(NAME, { kind: 'break', afterBytes: 100_000 }, { kind: 'wrong-range' });
  assert.deepEqual(await readFile(await downloadFile(file, folder, deps, NO_ABORT)), BYTES);
});

test('a busy server is waited for, as long as it asks', async (t) => {
  const { server, folder, file, deps } = await scene(t);
  server.fail(NAME, { kind: 'status', status: 429, retryAfter: '7' }, { kind: 'status', status: 503 });
  assert.deepEqual(await readFile(await downloadFile(file, folder, deps, NO_ABORT)), BYTES);
  assert.ok((deps.retryDeps.waits[0] ?? 0) >= 7000, String(deps.retryDeps.waits));
});

test('a server that stays away ends it; what came is there for the next run', async (t) => {
  const { server, folder, file, deps } = await scene(t);
  const away = { kind: 'status', status: 502 } as const;
  server.fail(NAME, { kind: 'break', afterBytes: 100_000 }, away, away, away);
  isError('unavailable', 'DOWNLOAD_FAILED')(await rejection(downloadFile(file, folder, deps, NO_ABORT)));
  assert.deepEqual(await readdir(folder), [`${NAME}.part`]);
  assert.deepEqual(await readFile(await downloadFile(file, folder, deps, NO_ABORT)), BYTES);
  assert.match(server.asked.at(-1)?.range ?? '', /^bytes=[1-9]/);
});

test('a transfer that stands still is broken off and gone on from', async (t) => {
  const { server, folder, file, deps } = await scene(t);
  server.fail(NAME, { kind: 'stall', afterBytes: 1000 });
  t.mock.timers.enable({ apis: ['setTimeout'] });
  let isStill = false;
  const onProgress = (): void => {
    if (!isStill) {
      isStill = true;
      // Once the next bytes are waited for.
      setImmediate(() => t.mock.timers.tick(IDLE_MS));
    }
  };
  assert.deepEqual(await readFile(await downloadFile(file, folder, { ...deps, onProgress }, NO_ABORT)), BYTES);
  assert.equal(server.asked.length, 2);
});

const OTHER = Buffer.from(BYTES);
OTHER.write('other');
for (const [what, bytes, kind, reason] of [
  ['other bytes', OTHER, 'data-loss', 'DIGEST_MISMATCH'],
  ['more bytes', Buffer.concat([BYTES, OTHER]), 'data-loss', 'SIZE_MISMATCH'],
] satisfies [string, Uint8Array, ErrorKind, ErrorReason][]) {
  test(`${what} than the record says are refused, and nothing of them is kept`, async (t) => {
    const { server, folder, file, deps } = await scene(t);
    server.fail(NAME, { kind: 'other-bytes', bytes });
    isError(kind, reason)(await rejection(downloadFile(file, folder, deps, NO_ABORT)));
    assert.deepEqual(await readdir(folder), []);
  });
}

test('a file that the server has not, or does not give, is not tried again', async (t) => {
  const { server, folder, file, deps } = await scene(t);
  server.fail(NAME, { kind: 'status', status: 404 });
  isError('not-found', 'FILE_NOT_FOUND')(await rejection(downloadFile(file, folder, deps, NO_ABORT)));
  server.fail(NAME, { kind: 'status', status: 403 });
  isError('failed-precondition', 'DOWNLOAD_REFUSED')(await rejection(downloadFile(file, folder, deps, NO_ABORT)));
  assert.equal(server.asked.length, 2);
});

test('an interrupt ends it with its reason', async (t) => {
  const { server, folder, file, deps } = await scene(t);
  server.fail(NAME, { kind: 'stall', afterBytes: 1000 });
  const over = new AbortController();
  const onProgress = (): void => over.abort(new ServiceError('cancelled', 'CANCELLED', 'interrupted'));
  isError('cancelled', 'CANCELLED')(await rejection(downloadFile(file, folder, { ...deps, onProgress }, over.signal)));
});

test('a folder that cannot be written is named', async (t) => {
  const { folder, file, deps } = await scene(t);
  await writeFile(join(folder, 'in-the-way'), '');
  const error = await rejection(downloadFile(file, join(folder, 'in-the-way'), deps, NO_ABORT));
  isError('failed-precondition', 'UNWRITABLE_FILE')(error);
});
