import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { processEnvironment } from '../../infra/process/env.ts';
import { HANG_MS } from '../support/hang-limit.ts';
import { namesIn } from '../support/soak/held-chunks.ts';
import { soakTest } from '../support/soak/soak.ts';
import { Tally } from '../support/soak/tally.ts';

const BUNDLES = 4_000;
const PROGRAM = fileURLToPath(new URL('../support/soak/importing-process.js', import.meta.url));
const MIB = 1024 * 1024;
/** Of V8's heap; the pickle machine's own limit of steps stays below it. */
const HEAP_MIB = 512;
const GROWTH_BYTES = 64 * MIB;
const OUTCOMES = /^(?:imported|invalid-argument (?:INVALID_BUNDLE|UNSUPPORTED_MODEL|INVALID_MANIFEST|UNREADABLE_FILE))$/;

soakTest(
  import.meta.url,
  'bundles that nobody should make: each is imported or refused with a listed error, nothing is run, nothing is written elsewhere',
  async (run) => {
    const folder = await mkdtemp(join(tmpdir(), 'maskterial-bundles-'));
    try {
      for (const name of ['work', 'empty', 'home', 'tmp']) {
        await mkdir(join(folder, name));
      }
      await writeFile(join(folder, 'canary'), 'alive');
      const inputs = run.inputs(BUNDLES);
      const { tally, memory } = await importAll(folder, run.seed, inputs);
      for (const name of ['work', 'empty', 'home', 'tmp']) {
        assert.deepEqual(await namesIn(join(folder, name)), [], `left in ${name}`);
      }
      assert.deepEqual((await namesIn(folder)).toSorted(), ['canary', 'empty', 'home', 'tmp', 'work']);
      assert.equal(await readFile(join(folder, 'canary'), 'utf8'), 'alive');
      const [first = 0, second = 0] = memory.slice(-2);
      assert.ok(second <= first + GROWTH_BYTES, `the importer grew from ${first / MIB} to ${second / MIB} MiB`);
      run.say(`${inputs.length} inputs: ${tally.summary()}`);
      run.say(`resident after each half: ${memory.map((bytes) => `${Math.round(bytes / MIB)} MiB`).join(', ')}`);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  },
);

/** In a process whose heap ends where no bundle should lead it, and that is ended when it says nothing for too long. */
async function importAll(folder: string, seed: number, inputs: readonly number[]): Promise<{ tally: Tally; memory: number[] }> {
  const args = [
    `--max-old-space-size=${HEAP_MIB}`,
    '--expose-gc',
    PROGRAM,
    join(folder, 'work'),
    String(seed),
    ...inputs.map(String),
  ];
  const child = spawn(process.execPath, args, {
    cwd: join(folder, 'empty'),
    env: { ...processEnvironment(), HOME: join(folder, 'home'), TMPDIR: join(folder, 'tmp') },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'exit');
  let words = '';
  child.stderr.on('data', (part) => {
    words = `${words}${String(part)}`.slice(-4000);
  });
  const tally = new Tally();
  const memory: number[] = [];
  let done = 0;
  const watchdog = setTimeout(() => child.kill('SIGKILL'), HANG_MS);
  try {
    for await (const line of createInterface({ input: child.stdout })) {
      watchdog.refresh();
      const [first = '', ...rest] = line.split(' ');
      if (first === 'memory') {
        memory.push(Number(rest[0]));
        continue;
      }
      const outcome = rest.join(' ');
      assert.match(outcome, OUTCOMES, `input ${first}`);
      tally.count(outcome);
      done += 1;
    }
  } finally {
    clearTimeout(watchdog);
    child.kill('SIGKILL');
  }
  const [code, signal] = await exited;
  assert.equal(done, inputs.length, `the importer ended at input ${inputs[done]} with ${code ?? signal}: ${words}`);
  return { tally, memory };
}
