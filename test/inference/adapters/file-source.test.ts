import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { FileSource } from '../../../inference/adapters/file-source.ts';
import { MESSAGE_BYTES } from '../../../proto/wire/chunks.ts';
import { type BlobRef, refOf } from '../../../proto/wire/digest.ts';
import { never } from '../../support/cache-folder.ts';
import { patternBytes } from '../../support/fake-blob-source.ts';
import { isError } from '../../support/service-errors.ts';

const BYTES = patternBytes(2 * MESSAGE_BYTES + 10, 1);

test('gives exactly the range, in bounded pieces', async (t) => {
  const source = await fileWith(t, BYTES);
  for (const [offsetBytes, lengthBytes] of [
    [0, BYTES.byteLength],
    [0, 0],
    [5, 1],
    [MESSAGE_BYTES - 1, MESSAGE_BYTES + 2],
    [BYTES.byteLength - 1, 1],
  ] as const) {
    const pieces = await collect(source, refOf(BYTES), offsetBytes, lengthBytes);
    assert.ok(pieces.every(({ byteLength }) => byteLength <= MESSAGE_BYTES));
    assert.deepEqual(refOf(Buffer.concat(pieces)), refOf(BYTES.subarray(offsetBytes, offsetBytes + lengthBytes)));
  }
});

test('no such file, no such folder, no regular file: not found', async (t) => {
  const folder = await temporaryFolder(t);
  await writeFile(join(folder, 'file'), BYTES);
  execFileSync('sh', ['-c', 'mkfifo "$0"', join(folder, 'fifo')]);
  for (const path of ['absent', 'absent/file', 'file/below', '.', 'fifo']) {
    await assert.rejects(collect(new FileSource(join(folder, path)), refOf(BYTES), 0, 1), isError('not-found', 'BLOB_NOT_FOUND'));
  }
});

test('a file of another size is data loss with both sizes', async (t) => {
  const source = await fileWith(t, BYTES);
  await assert.rejects(collect(source, { ...refOf(BYTES), sizeBytes: 3 }, 0, 1), isError('data-loss', 'SIZE_MISMATCH'));
});

test('a file that cannot be opened is unavailable', async (t) => {
  const name = 'x'.repeat(300);
  await assert.rejects(
    collect(new FileSource(join(await temporaryFolder(t), name)), refOf(BYTES), 0, 1),
    isError('unavailable', 'STORAGE_UNAVAILABLE'),
  );
});

test('ends with its signal, before and between pieces', async (t) => {
  const source = await fileWith(t, BYTES);
  const stop = new AbortController();
  const pieces = source.open(refOf(BYTES), { offsetBytes: 0, lengthBytes: BYTES.byteLength }, stop.signal);
  await pieces.next();
  stop.abort();
  await assert.rejects(pieces.next(), isError('cancelled', 'CANCELLED'));
  await assert.rejects(
    source.open(refOf(BYTES), { offsetBytes: 0, lengthBytes: 1 }, stop.signal).next(),
    isError('cancelled', 'CANCELLED'),
  );
});

async function collect(source: FileSource, ref: BlobRef, offsetBytes: number, lengthBytes: number): Promise<Uint8Array[]> {
  const pieces: Uint8Array[] = [];
  for await (const piece of source.open(ref, { offsetBytes, lengthBytes }, never)) {
    pieces.push(piece);
  }
  return pieces;
}

async function fileWith(t: TestContext, bytes: Uint8Array): Promise<FileSource> {
  const path = join(await temporaryFolder(t), 'blob');
  await writeFile(path, bytes);
  return new FileSource(path);
}

async function temporaryFolder(t: TestContext): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'file-source-test-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  return folder;
}
