import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { exitCodeOf } from '../../../clients/cli/exit-codes.ts';
import { findImages } from '../../../clients/cli/images.ts';
import { inOrder } from '../../../clients/cli/in-order.ts';
import { createProgress } from '../../../clients/cli/progress.ts';
import { reportError } from '../../../clients/cli/report-error.ts';
import { textOutput } from '../../../clients/cli/text-output.ts';
import { createUploadProgress } from '../../../clients/cli/upload-progress.ts';
import { ConfigError } from '../../../infra/process/env.ts';
import { type ErrorKind, ServiceError } from '../../../proto/wire/errors.ts';
import { deferred } from '../../support/deferred.ts';
import { MemoryOutput } from '../../support/memory-output.ts';

test('a terminal has a bar that results do not mix with, and that is gone at the end', async () => {
  const err = new MemoryOutput(true);
  let now = 0;
  const progress = createProgress(err, 4, 'images', () => now);
  now = 10_000;
  await progress.around(() => err.write('RESULT\n'));
  await progress.step('a.jpg: 1 flake');
  await progress.finish();
  assert.equal(err.text, '\r\u001b[KRESULT\n\r\u001b[K[######------------------] 1/4 images, 6.0/min, 30 s left\r\u001b[K');
});

test('the bar tells rate and time left by what this run did, in fitting units', async () => {
  const speeds: [number, number, string][] = [
    [1, 200, '5.0/s, 20 s left'],
    [1, 2000, '30.0/min, 4 min left'],
    [1, 90_000, '0.7/min, 2.5 h left'],
    [0, 0, ''],
  ];
  for (const [doneCount, elapsedMs, expected] of speeds) {
    const err = new MemoryOutput(true);
    let now = 0;
    const progress = createProgress(err, 100 + doneCount + 50, 'images', () => now);
    now = elapsedMs;
    for (let index = 0; index < 50; index += 1) {
      await progress.step('', true);
    }
    for (let index = 0; index < doneCount; index += 1) {
      await progress.step('');
    }
    const line = err.text.split('\r\u001b[K').at(-1) ?? '';
    assert.equal(line.replace(/^.* images(, )?/, ''), expected);
  }
});

test('a pipe has one plain line an image; a single image has none', async () => {
  for (const [total, expected] of [
    [2, '1/2 a.jpg: 1 flake\n'],
    [1, ''],
  ] as const) {
    const err = new MemoryOutput();
    const progress = createProgress(err, total, 'images', () => 0);
    await progress.around(async () => undefined);
    await progress.step('a.jpg: 1 flake');
    await progress.finish();
    assert.equal(err.text, expected);
  }
});

test('an upload is one line drawn anew on a terminal, a line a file in a pipe', async () => {
  const texts = [true, false].map((isTerminal) => {
    const err = new MemoryOutput(isTerminal);
    const { show } = createUploadProgress(err);
    show({ stage: 'staged', sentBytes: 0, missingBytes: 2000 });
    show({ stage: 'uploading', path: 'a', sentBytes: 1000, missingBytes: 2000 });
    show({ stage: 'uploading', path: 'a', sentBytes: 1500, missingBytes: 2000 });
    show({
      stage: 'resuming',
      sentBytes: 1000,
      missingBytes: 2000,
      error: new ServiceError('unavailable', 'UNAVAILABLE', 'gone'),
    });
    show({ stage: 'uploading', path: 'a', sentBytes: 2000, missingBytes: 2000 });
    show({ stage: 'finalizing', sentBytes: 2000, missingBytes: 2000 });
    return err.text;
  });
  assert.deepEqual(texts, [
    'uploading 2.00 KB\n\r\u001b[K1.00 KB of 2.00 KB  a\r\u001b[K1.50 KB of 2.00 KB  a' +
      '\r\u001b[Kupload broke (gone); resuming at 1.00 KB of 2.00 KB\n\r\u001b[K2.00 KB of 2.00 KB  a\r\u001b[Kverifying\n',
    'uploading 2.00 KB\nuploading a\nupload broke (gone); resuming at 1.00 KB of 2.00 KB\nuploading a\nverifying\n',
  ]);
});

test('work runs a few at once and comes out in order', async () => {
  const gates = [deferred<string>(), deferred<string>(), deferred<string>()];
  const started: number[] = [];
  const results = inOrder([0, 1, 2], 2, (item) => {
    started.push(item);
    return gates[item]?.promise ?? Promise.reject(new Error('no gate'));
  });
  const first = results.next();
  assert.deepEqual(started, [0, 1]);
  gates[1]?.resolve('second');
  gates[0]?.resolve('first');
  assert.deepEqual(await first, { done: false, value: 'first' });
  assert.deepEqual(started, [0, 1], 'nothing new while a result waits');
  assert.deepEqual(await results.next(), { done: false, value: 'second' });
  const last = results.next();
  assert.deepEqual(started, [0, 1, 2]);
  gates[2]?.reject(new Error('third failed'));
  await assert.rejects(last, /third failed/);
});

test('images of folders come in the order people count, each file once', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'images-'));
  try {
    await mkdir(join(folder, 'folder.jpg'));
    const names = ['img10.jpg', 'img9.JPEG', 'b.webp', 'A.tif', 'a.tiff', 'x.png', '.x.png', 'x.txt'];
    await Promise.all(names.map((name) => writeFile(join(folder, name), '')));
    // Opening a pipe would wait for ever for somebody to write into it.
    await promisify(execFile)('mkfifo', [join(folder, 'pipe.jpg')]);
    await symlink(join(folder, 'x.png'), join(folder, 'z.png'));
    const { inputs } = await findImages([join(folder, 'x.png'), folder, join(folder, '.', 'x.txt')]);
    assert.deepEqual(
      inputs.map(({ path }) => path.slice(folder.length + 1)),
      ['x.png', 'A.tif', 'a.tiff', 'b.webp', 'img9.JPEG', 'img10.jpg', 'z.png', 'x.txt'],
    );
    const { inputs: problems } = await findImages([join(folder, 'folder.jpg'), join(folder, 'none')]);
    assert.deepEqual(
      problems.map(({ problem }) => problem?.reason),
      ['UNREADABLE_FILE', 'UNREADABLE_FILE'],
    );
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('folders within folders: counted, or looked into, but never those to leave out', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'images-'));
  try {
    await mkdir(join(folder, 'b', 'deep'), { recursive: true });
    await mkdir(join(folder, 'a', '.hidden'), { recursive: true });
    await mkdir(join(folder, 'out'));
    const paths = ['2.jpg', 'x.txt', 'y.overlay.png', 'b/1.jpg', 'b/deep/1.jpg', 'b/notes.md', 'a/.hidden/1.jpg', 'out/1.jpg'];
    await Promise.all(paths.map((path) => writeFile(join(folder, path), '')));
    await symlink(folder, join(folder, 'b', 'circle'));
    const search = { isRecursive: true, except: [join(folder, 'out')] };
    const deep = await findImages([folder, join(folder, 'b')], search);
    assert.deepEqual(
      deep.inputs.map(({ path }) => path.slice(folder.length + 1)),
      ['2.jpg', 'b/1.jpg', 'b/deep/1.jpg'],
    );
    assert.equal(deep.folderCount, 0);
    const flat = await findImages([folder], { ...search, isRecursive: false });
    assert.deepEqual({ ...flat, inputs: flat.inputs.length }, { inputs: 1, otherFileCount: 2, folderCount: 2 });
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('every kind of error has its exit code', () => {
  const codes: Record<ErrorKind, number> = {
    'invalid-argument': 1,
    'not-found': 1,
    'already-exists': 1,
    'failed-precondition': 1,
    aborted: 4,
    'resource-exhausted': 3,
    unavailable: 3,
    'data-loss': 1,
    'deadline-exceeded': 1,
    cancelled: 130,
    internal: 1,
  };
  for (const [kind, code] of Object.entries(codes)) {
    assert.equal(exitCodeOf(new ServiceError(kind as ErrorKind, 'INTERNAL', '')), code, kind);
  }
  assert.equal(exitCodeOf(new ConfigError(['x'])), 2);
  assert.equal(exitCodeOf(new TypeError('bug')), 1);
});

test('an error is one line for people, one object for scripts', async () => {
  const error = new ServiceError('invalid-argument', 'INVALID_REQUEST', 'a\n  b\u001b[2J', {
    violations: [{ field: 'f', description: 'd' }],
    retryDelayMs: 5,
  });
  const err = new MemoryOutput();
  await reportError(error, false, err);
  await reportError(error, true, err);
  await reportError(new ConfigError(['X: bad', 'Y: bad']), false, err);
  assert.equal(
    err.text,
    'maskterial: error: a; b?[2J [INVALID_REQUEST]\n' +
      '{"error":{"kind":"invalid-argument","reason":"INVALID_REQUEST","message":"a; b?[2J","violations":[{"field":"f","description":"d"}],"retry_delay_ms":5}}\n' +
      'maskterial: error: invalid configuration: X: bad; Y: bad\n',
  );
});

test('a slow reader slows the writer down', async () => {
  const taken: (() => void)[] = [];
  const stream = new Writable({ highWaterMark: 1, write: (_chunk, _encoding, done) => void taken.push(done) });
  const out = textOutput(stream);
  assert.deepEqual([out.isTerminal, out.columns], [false, 80]);
  let isWritten = false;
  const written = out.write('text').then(() => (isWritten = true));
  await new Promise((resolve) => setImmediate(resolve));
  assert.equal(isWritten, false);
  taken[0]?.();
  await written;
  stream.destroy();
  await assert.rejects(out.write('more'));
});
