import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** A real server in a process of its own, on this machine only, with its data in a temporary folder. */
export interface LocalServer {
  readonly port: number;
  /** Ends the process for good and removes its data. Idempotent. */
  stop(): Promise<void>;
}

export interface LocalServerOptions {
  readonly name: string;
  readonly program: string;
  readonly env: NodeJS.ProcessEnv;
  /** The arguments for a free port and an empty folder. */
  readonly args: (port: number, folder: string) => Promise<readonly string[]>;
  /** How long it may take to end when asked; then it is ended. */
  readonly stopLimitMs?: number;
  /** How long it may run without taking connections; then it is given up. */
  readonly startLimitMs?: number;
}

/** A Java program takes two seconds on an idle machine, and far longer on a busy one. */
const START_LIMIT_MS = 300_000;
const STOP_LIMIT_MS = 5_000;
/** Between asking for a free port and listening on it another process may take it. */
const ATTEMPTS = 3;
/**
 * Below the ports that systems hand out by themselves (from 32768 on Linux, 49152 elsewhere): one of those may become somebody's end
 * of a connection while the program starts.
 */
const FIRST_PORT = 30_000;
const END_PORT = 32_700;

/** It runs and takes no connections: another port would not help. */
class SilentProgramError extends Error {}

/** Starts the server and waits until it takes connections. @throws Error with what it wrote when it does not come up. */
export async function startLocalServer(options: LocalServerOptions): Promise<LocalServer> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await startOnce(options);
    } catch (error) {
      if (attempt === ATTEMPTS || error instanceof SilentProgramError) {
        throw error;
      }
    }
  }
}

async function startOnce(options: LocalServerOptions): Promise<LocalServer> {
  const { name, program, args, env, stopLimitMs = STOP_LIMIT_MS, startLimitMs = START_LIMIT_MS } = options;
  const folder = await mkdtemp(join(tmpdir(), `${name}-`));
  const port = await freePort();
  const child = spawn(program, await args(port, folder), { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const output: string[] = [];
  child.stdout.on('data', (text) => keepTail(output, String(text)));
  child.stderr.on('data', (text) => keepTail(output, String(text)));
  const exited = new Promise<void>((resolve) => {
    // Not `exit`: what it wrote last may still be on its way then.
    child.once('close', () => resolve());
    child.once('error', (error) => {
      output.push(error.message);
      resolve();
    });
  });
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  let stopping: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    await endProcess(child, exited, stopLimitMs);
    process.off('exit', kill);
    await rm(folder, { recursive: true, force: true });
  };
  const server = { port, stop: () => (stopping ??= stop()) };
  if (!(await isUp(port, child, startLimitMs))) {
    const isSilent = isRunning(child);
    await server.stop();
    const message = `${name} did not come up on port ${port}: ${output.join('')}`;
    throw isSilent ? new SilentProgramError(message) : new Error(message);
  }
  return server;
}

async function endProcess(child: ChildProcess, exited: Promise<void>, limitMs: number): Promise<void> {
  if (isRunning(child)) {
    child.kill('SIGTERM');
    const patience = new AbortController();
    const impatient = sleep(limitMs, undefined, { signal: patience.signal }).then(
      () => void child.kill('SIGKILL'),
      () => undefined,
    );
    await exited;
    patience.abort();
    await impatient;
  }
}

function isRunning({ exitCode, signalCode, pid }: ChildProcess): boolean {
  return exitCode === null && signalCode === null && pid !== undefined;
}

async function isUp(port: number, child: ChildProcess, limitMs: number): Promise<boolean> {
  const deadline = Date.now() + limitMs;
  while (isRunning(child) && Date.now() < deadline) {
    if (await canConnect(port)) {
      return true;
    }
    await sleep(20);
  }
  return false;
}

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(FIRST_PORT, END_PORT);
    if (await isFree(port)) {
      return port;
    }
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => (error.code === 'EADDRINUSE' ? resolve(false) : reject(error)));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}

/** A server that runs for hours must not fill the memory with its log. */
function keepTail(output: string[], text: string): void {
  output.push(text);
  if (output.length > 50) {
    output.shift();
  }
}
