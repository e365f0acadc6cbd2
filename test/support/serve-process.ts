import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { processEnvironment } from '../../infra/process/env.ts';
import { HANG_MS } from './hang-limit.ts';
import { repositoryRoot } from './reference-data.ts';

/** A service in a process of its own, started by the command line as a user starts it. */
export interface ServeProcess {
  readonly what: 'registry' | 'inference';
  readonly pid: number;
  readonly address: string;
  /** How it ended, once it did. */
  readonly exited: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  /** Sends the signal and waits until the process is gone. */
  end(signal: NodeJS.Signals): Promise<void>;
}

/** `maskterial serve <what>` with `env` over this process's environment; resolves once it listens. */
export async function startServeProcess(
  what: 'registry' | 'inference',
  env: Readonly<Record<string, string>>,
): Promise<ServeProcess> {
  const main = join(repositoryRoot, 'dist', 'clients', 'cli', 'main.js');
  const child = spawn(process.execPath, [main, 'serve', what], {
    env: { ...processEnvironment(), ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit').then(([code, signal]) => ({ code, signal }));
  return {
    what,
    pid: child.pid ?? 0,
    address: await addressOf(child, what),
    exited,
    end: async (signal) => {
      child.kill(signal);
      await exited;
    },
  };
}

/** From the block that the command prints once it serves. Reading goes on: a pipe that nobody reads would block the service. */
function addressOf(child: ChildProcess, what: string): Promise<string> {
  const limit = AbortSignal.timeout(HANG_MS);
  return new Promise((resolve, reject) => {
    let text = '';
    child.stdout?.on('data', (part) => {
      text += String(part);
      const address = new RegExp(`${what}\\s+(\\S+:\\d+)`).exec(text)?.[1];
      if (address !== undefined) {
        resolve(address);
      }
    });
    child.once('exit', (code) => reject(new Error(`serve ${what} ended with ${String(code)}: ${text}`)));
    // Left alone it would keep the test's file from ending.
    limit.addEventListener('abort', () => child.kill('SIGKILL'), { once: true });
  });
}
