import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { processEnvironment } from '../../infra/process/env.ts';
import { repositoryRoot } from './reference-data.ts';

/** Prints the most memory that a process had resident, in KiB, as its last word: the kernel's VmHWM. */
const PEAK = 'data:text/javascript,process.on("exit",()=>process.stderr.write(`peak ${process.resourceUsage().maxRSS}`))';

export interface CliRun {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
  readonly peakBytes: number;
  /** From the start of the process to its end. */
  readonly ms: number;
}

/** Runs the command line in a process of its own, as a user does. */
export async function runCliProcess(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<CliRun> {
  const started = performance.now();
  const main = join(repositoryRoot, 'dist', 'clients', 'cli', 'main.js');
  const child = spawn(process.execPath, ['--import', PEAK, main, ...args], {
    env: { ...processEnvironment(), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let out = '';
  let err = '';
  child.stdout.on('data', (part) => (out += String(part)));
  child.stderr.on('data', (part) => (err += String(part)));
  const [code] = await once(child, 'close');
  const peak = /peak (\d+)$/.exec(err);
  return {
    code,
    out,
    err: err.slice(0, peak?.index),
    peakBytes: Number(peak?.[1]) * 1024,
    ms: performance.now() - started,
  };
}
