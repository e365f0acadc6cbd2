import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { describe, it } from 'node:test';

const SIGNALS = new URL('../../../infra/process/signals.js', import.meta.url).href;
// Waits, says which signal came, and then hangs until something ends it.
const SCRIPT = `const { untilStopped } = await import(${JSON.stringify(SIGNALS)});
  const logger = { info: () => undefined, warn: () => undefined };
  setInterval(() => undefined, 60_000);
  const stopped = untilStopped(logger);
  console.log('ready');
  console.log(await stopped);`;

describe('signals', () => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    it(`${signal} asks to stop; a second one ends the process at once`, async () => {
      const child = spawn(process.execPath, ['--input-type=module', '-e', SCRIPT], { stdio: ['ignore', 'pipe', 'inherit'] });
      const lines = linesOf(child);
      assert.equal(await lines(), 'ready');
      child.kill(signal);
      assert.equal(await lines(), signal);
      child.kill('SIGTERM');
      assert.deepEqual(await once(child, 'exit'), [1, null]);
    });
  }
});

describe('an end in time', () => {
  for (const [name, isDone, code] of [
    ['what does not end is ended', false, 1],
    ['what ends is left alone', true, 0],
  ] as const) {
    it(name, async () => {
      const script = `const { exitUnlessDone } = await import(${JSON.stringify(SIGNALS)});
        const limit = exitUnlessDone({ error: () => undefined }, 1);
        ${isDone ? 'limit[Symbol.dispose]();' : 'setInterval(() => undefined, 60_000);'}`;
      const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: 'inherit' });
      assert.deepEqual(await once(child, 'exit'), [code, null]);
    });
  }
});

function linesOf(child: ChildProcess): () => Promise<string | undefined> {
  assert.ok(child.stdout !== null);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return async () => (await lines.next()).value;
}
