import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { processEnvironment } from '../../infra/process/env.ts';
import { lastingPort } from '../support/lasting-port.ts';
import { makePicture, writeGmmBundle } from '../support/made-up.ts';
import { MeteredLink } from '../support/metered-link.ts';
import { repositoryRoot } from '../support/reference-data.ts';
import { type ServeProcess, startServeProcess } from '../support/serve-process.ts';
import { TestSystem } from '../support/system.ts';

const MODEL = 'CLS_GMM_Test';
const PATCH = { x: 50, y: 60, width: 40, height: 30, contrast: -0.15 };
const SIZE = { width: 1500, height: 1000 };
const COUNT = 40;
/** As many images as this get to the server until a test lets the rest through: it is in the middle, however late it looks. */
const FIRST = 10;

interface Bench {
  readonly scan: string;
  readonly results: string;
  readonly server: ServeProcess;
  /** Between the command and the server. */
  readonly link: MeteredLink;
  /** The bytes of the first images. */
  readonly firstBytes: number;
  /** On the same port, cache and registry. */
  restart(): Promise<ServeProcess>;
}

/** A registry with a promoted version, an inference server in a process of its own, and a folder of images, no two alike. */
async function start(t: TestContext): Promise<Bench> {
  const system = await TestSystem.start({ inference: false });
  t.after(() => system[Symbol.asyncDispose]());
  const version = await system.publish(await writeGmmBundle(join(system.folder, 'bundle'), { 1: -0.15, 2: -0.4 }), MODEL);
  await system.promote(version);
  const port = await lastingPort();
  const env = {
    INFERENCE_PORT: String(port),
    MODEL_PATH: system.modelPath,
    REGISTRY_ADDRESS: system.registryAddress,
    ENGINES: '1',
    LOG_LEVEL: 'fatal',
  };
  const restart = async (): Promise<ServeProcess> => {
    const server = await startServeProcess('inference', env);
    t.after(() => server.end('SIGKILL'));
    return server;
  };
  const link = await MeteredLink.open(port);
  t.after(() => link[Symbol.asyncDispose]());
  const scan = join(system.folder, 'scan');
  await mkdir(scan);
  let firstBytes = 0;
  for (let index = 0; index < COUNT; index += 1) {
    const picture = await makePicture([{ ...PATCH, x: 50 + index }], SIZE);
    await writeFile(join(scan, `${index}.png`), picture);
    firstBytes += index < FIRST ? picture.byteLength : 0;
  }
  return { scan, results: join(system.folder, 'results'), server: await restart(), link, firstBytes, restart };
}

/** The command line as a user starts it; `lines` fills with what it prints. */
function predict(t: TestContext, { scan, link }: Bench, args: readonly string[]) {
  const main = join(repositoryRoot, 'dist', 'clients', 'cli', 'main.js');
  const command = ['predict', scan, '--classification', MODEL, '--inference', link.address, '--um-per-px', '0.5', ...args];
  const child = spawn(process.execPath, [main, ...command], {
    env: processEnvironment(),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.after(() => child.kill('SIGKILL'));
  const told = { out: '', err: '' };
  child.stdout.on('data', (part) => (told.out += String(part)));
  child.stderr.on('data', (part) => (told.err += String(part)));
  const lines = (): string[] => told.out.split('\n').filter((line) => line !== '');
  const closed = once(child, 'close');
  /** Until it has printed more lines than this. */
  const untilBeyond = async (count: number): Promise<void> => {
    while (lines().length <= count) {
      await Promise.race([once(child.stdout, 'data'), closed.then(() => assert.ok(lines().length > count, told.err))]);
    }
  };
  return {
    told,
    lines,
    untilBeyond,
    kill: (signal: NodeJS.Signals) => child.kill(signal),
    closed: async () => (await closed)[0] as number | null,
  };
}

const imagesOf = (lines: readonly string[]): string[] => lines.map((line) => JSON.parse(line).image);

for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
  test(`the server ended by ${signal} and started again in the middle of a folder: every image comes out once, and exit 0`, async (t) => {
    const bench = await start(t);
    bench.link.holdAfter(bench.firstBytes);
    const run = predict(t, bench, ['--json', '--retry-for', '600']);
    await run.untilBeyond(0);
    await bench.server.end(signal);
    assert.ok(run.lines().length < COUNT, 'ended in the middle');
    bench.link.letThrough();
    await bench.restart();
    assert.equal(await run.closed(), 0, run.told.err);
    assert.deepEqual(
      imagesOf(run.lines()),
      Array.from({ length: COUNT }, (_, index) => join(bench.scan, `${index}.png`)),
    );
    for (const [index, line] of run.lines().entries()) {
      const { flakes } = JSON.parse(line);
      assert.deepEqual([flakes.length, flakes[0]?.box.x], [1, 50 + index], 'the answer is that of the image');
    }
    assert.match(run.told.err, /^maskterial: waiting up to 600 s: /m);
    assert.match(run.told.err, new RegExp(`^${COUNT} of ${COUNT} images done, ${COUNT} flakes$`, 'm'));
  });
}

test('a command that is killed and one that is interrupted: the next run does the rest and prints all of it', async (t) => {
  const bench = await start(t);
  const args = ['--json', '--out', bench.results];
  bench.link.holdAfter(bench.firstBytes);
  const killed = predict(t, bench, args);
  await killed.untilBeyond(2);
  killed.kill('SIGKILL');
  await killed.closed();
  const kept = (await readdir(bench.results)).filter((name) => name.endsWith('.json')).length;
  assert.ok(kept > 2 && kept < COUNT, `${kept} kept`);

  bench.link.holdAfter(bench.firstBytes);
  const interrupted = predict(t, bench, args);
  await interrupted.untilBeyond(kept);
  interrupted.kill('SIGINT');
  assert.equal(await interrupted.closed(), 130, interrupted.told.err);
  assert.match(interrupted.told.err, new RegExp(`^\\d+ of ${COUNT} images done \\(${kept} of them before\\)`, 'm'));

  bench.link.letThrough();
  const last = predict(t, bench, args);
  assert.equal(await last.closed(), 0, last.told.err);
  assert.deepEqual(
    imagesOf(last.lines()),
    Array.from({ length: COUNT }, (_, index) => join(bench.scan, `${index}.png`)),
  );
  assert.equal((await readdir(bench.results)).filter((name) => name.endsWith('.json')).length, COUNT);
});
