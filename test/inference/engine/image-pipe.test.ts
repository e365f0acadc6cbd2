import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { Writable } from 'node:stream';
import { type TestContext, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { IMAGE_PIPE_FD } from '../../../inference/engine/image-pipe.ts';
import { refOf } from '../../../proto/wire/digest.ts';

const CHILD = fileURLToPath(new URL('../../support/image-pipe-child.js', import.meta.url));
const MIB = 1024 * 1024;

interface OtherEnd {
  /** Resolves once the kernel took all of it; of what is larger than the pipe, the other end read most then. */
  write(bytes: Uint8Array): Promise<void>;
  announce(sizeBytes: number): void;
  /** The next thing that the process says. */
  next(): Promise<unknown>;
  end(): void;
}

function otherEnd(t: TestContext): OtherEnd {
  const child = fork(CHILD, [], { stdio: ['ignore', 'ignore', 'inherit', 'ipc', 'pipe'] });
  t.after(() => child.kill('SIGKILL'));
  const pipe = child.stdio[IMAGE_PIPE_FD];
  assert.ok(pipe instanceof Writable);
  return {
    write: (bytes) => new Promise((resolve, reject) => pipe.write(bytes, (error) => (error ? reject(error) : resolve()))),
    announce: (sizeBytes) => child.send(sizeBytes),
    next: async () => (await once(child, 'message'))[0],
    end: () => pipe.end(),
  };
}

/** Bytes that no other seed gives. */
function image(sizeBytes: number, seed: number): Uint8Array {
  return Uint8Array.from({ length: sizeBytes }, (_, at) => Math.imul(at + 1, 2 * seed + 0x9e3779b1) >>> 24);
}

test('bytes may come before their message, after it, or on both sides of it', async (t) => {
  const end = otherEnd(t);
  const bytes = image(3 * MIB, 1);
  for (const before of [0, 2 * MIB, 3 * MIB - 1, 3 * MIB]) {
    await end.write(bytes.subarray(0, before));
    const answer = end.next();
    end.announce(bytes.byteLength);
    await end.write(bytes.subarray(before));
    assert.equal(await answer, refOf(bytes).digest, `${before} bytes before`);
  }
});

test('images in a row, larger and smaller ones, each arrives as itself', async (t) => {
  const end = otherEnd(t);
  for (const [seed, sizeBytes] of [1, 70_000, 20 * MIB, 65_536, 300_000, 20 * MIB + 1, 262_144, 1].entries()) {
    const bytes = image(sizeBytes, seed);
    const answer = end.next();
    end.announce(sizeBytes);
    void end.write(bytes);
    assert.equal(await answer, refOf(bytes).digest, `image ${seed} of ${sizeBytes} bytes`);
  }
});

test('an image in many pieces', async (t) => {
  const end = otherEnd(t);
  const bytes = image(100_003, 5);
  const answer = end.next();
  end.announce(bytes.byteLength);
  for (let from = 0; from < bytes.byteLength; from += 997) {
    await end.write(bytes.subarray(from, from + 997));
  }
  assert.equal(await answer, refOf(bytes).digest);
});

test('more than was announced is never kept for the next image', async (t) => {
  const end = otherEnd(t);
  // One write of less than the pipe holds, so that the two are read together.
  await end.write(image(1001, 6));
  const answer = end.next();
  end.announce(1000);
  assert.match(String(await answer), /^broken: .*1001.*1000/);
});

test('a pipe that ends in the middle of an image is told of', async (t) => {
  const end = otherEnd(t);
  const answer = end.next();
  end.announce(1000);
  await end.write(image(500, 7));
  end.end();
  assert.match(String(await answer), /^broken: /);
});
