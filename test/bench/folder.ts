import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFile, link, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { InferenceClient } from '../../clients/inference-client.ts';
import { repositoryRoot } from '../support/reference-data.ts';
import { collectGarbage } from './garbage.ts';
import { memoryOfTree } from './memory.ts';
import { ammModel, realMicrographs } from './model.ts';
import { type Services, startServices } from './services.ts';
import { formatSpread, ratiosOf, spreadOf } from './statistics.ts';

const IMAGES = 100;
const ROUNDS = 3;
const SAMPLE_MS = 100;

interface Run {
  readonly ms: number;
  readonly peakMib: number;
}

/**
 * A folder of real micrographs through the command line, as a user starts it, against the best that two predictions at once
 * through the client in this process reach; in turn. `args`: the number of rounds.
 */
export async function benchFolder(args: readonly string[]): Promise<void> {
  const rounds = Number(args[0] ?? ROUNDS);
  const model = ammModel();
  await using services = await startServices();
  const label = await services.release(model);
  const folder = await mkdtemp(join(tmpdir(), 'maskterial-bench-folder-'));
  try {
    const scan = join(folder, 'scan');
    const paths = await repeatMicrographs(scan);
    console.log(`${cpus()[0]?.model ?? 'unknown processor'}, ${cpus().length} cores, Node ${process.version}`);
    console.log(`${paths.length} files of real micrographs; classifier ${label} (${model.origin})\n`);
    await predictTwoAtOnce(services.inference, paths.slice(0, 24), model.name);

    const atOnce: number[] = [];
    const plain: Run[] = [];
    const kept: Run[] = [];
    for (let round = 0; round < rounds; round += 1) {
      atOnce.push(await predictTwoAtOnce(services.inference, paths, model.name));
      plain.push(await predictFolder(services, model.name, scan, ['--csv']));
      kept.push(await predictFolder(services, model.name, scan, ['--csv', '--out', join(folder, `results-${round}`)]));
    }
    const again = await predictFolder(services, model.name, scan, ['--csv', '--out', join(folder, 'results-0')]);
    print(atOnce, plain, kept, again);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** The open micrographs of the reference data, again and again under other names. */
async function repeatMicrographs(target: string): Promise<string[]> {
  await mkdir(target);
  const sources = await realMicrographs();
  const paths: string[] = [];
  for (let index = 0; index < IMAGES; index += 1) {
    const source = sources[index % sources.length] ?? '';
    const path = join(target, `${String(index).padStart(3, '0')}.jpg`);
    // Another volume has no hard links to this one.
    await link(source, path).catch(() => copyFile(source, path));
    paths.push(path);
  }
  return paths;
}

async function predictTwoAtOnce(inference: InferenceClient, paths: readonly string[], classification: string): Promise<number> {
  collectGarbage();
  const started = performance.now();
  const left = paths.values();
  const worker = async (): Promise<void> => {
    // Both take from the same list.
    for (const path of left) {
      await inference.predictFlakes({ path }, { classification });
    }
  };
  await Promise.all([worker(), worker()]);
  return performance.now() - started;
}

/** From the start of the process to its end. */
async function predictFolder(services: Services, classification: string, scan: string, args: readonly string[]): Promise<Run> {
  const started = performance.now();
  const main = join(repositoryRoot, 'dist', 'clients', 'cli', 'main.js');
  const command = ['predict', scan, '--classification', classification, '--inference', services.inference.address, ...args];
  const child = spawn(process.execPath, [main, ...command], { stdio: ['ignore', 'pipe', 'pipe'] });
  let lines = 0;
  let told = '';
  child.stdout.on('data', (part) => (lines += String(part).split('\n').length - 1));
  child.stderr.on('data', (part) => (told += String(part)));
  let peakMib = 0;
  const sampling = setInterval(() => {
    peakMib = Math.max(peakMib, memoryOfTree(child.pid ?? 0)[0]?.peakMib ?? 0);
  }, SAMPLE_MS);
  const [code] = await once(child, 'close');
  clearInterval(sampling);
  if (code !== 0 || lines < 2) {
    throw new Error(`the command line ended with ${String(code)} after ${lines} lines: ${told}`);
  }
  return { ms: performance.now() - started, peakMib };
}

function print(atOnce: readonly number[], plain: readonly Run[], kept: readonly Run[], again: Run): void {
  const perSecond = (values: readonly number[]): number[] => values.map((ms) => (IMAGES * 1000) / ms);
  const msOf = (runs: readonly Run[]): number[] => runs.map(({ ms }) => ms);
  const line = (what: string, values: readonly number[], digits = 1): void =>
    console.log(`  ${what.padEnd(52)} ${formatSpread(spreadOf(values), digits)}`);
  console.log(`${plain.length} rounds, each in turn; median (quartiles)`);
  line('two at once through the client, images/s', perSecond(atOnce));
  line('maskterial predict FOLDER --csv, images/s', perSecond(msOf(plain)));
  line('the same with --out, images/s', perSecond(msOf(kept)));
  line('command line / two at once', ratiosOf(atOnce, msOf(plain)), 2);
  line('command line with --out / two at once', ratiosOf(atOnce, msOf(kept)), 2);
  line(
    'images an hour',
    msOf(plain).map((ms) => (IMAGES * 3_600_000) / ms),
    0,
  );
  line(
    'peak memory of the command line, MiB',
    [...plain, ...kept].map(({ peakMib }) => peakMib),
    0,
  );
  console.log(`\nrun again with --out, everything done before: ${(again.ms / 1000).toFixed(1)} s`);
}
