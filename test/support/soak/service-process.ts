import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { processEnvironment } from '../../../infra/process/env.ts';
import { HANG_MS } from '../hang-limit.ts';
import { repositoryRoot } from '../reference-data.ts';
import { ENVIRONMENT_MARK, untilNoneMarked } from './marked-processes.ts';

/** A line of a service's log. */
export type LogLine = Readonly<Record<string, unknown>>;

export interface CommandEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

interface CommandOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
}

const MAIN = join(repositoryRoot, 'dist', 'clients', 'cli', 'main.js');
let started = 0;

/** `maskterial ...` as a user runs it, in a process that can be killed. */
export class CommandProcess {
  readonly pid: number;
  /** Once the process ended and all it wrote was read. */
  readonly ended: Promise<CommandEnd>;
  readonly #child: ChildProcess;
  readonly #mark: string;
  readonly #text = { out: '', err: '' };
  readonly #log: LogLine[] = [];
  readonly #listeners = new Set<() => void>();
  #isOver = false;

  constructor(args: readonly string[], { env, cwd }: CommandOptions) {
    started += 1;
    // Every process that this one starts inherits it, whoever its parent may be later.
    this.#mark = `${process.pid}-${started}`;
    this.#child = spawn(process.execPath, [MAIN, ...args], {
      env: { ...processEnvironment(), ...env, [ENVIRONMENT_MARK]: this.#mark },
      cwd,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.pid = this.#child.pid ?? 0;
    this.#child.stdout?.on('data', (part) => this.#heard('out', String(part)));
    if (this.#child.stderr !== null) {
      createInterface({ input: this.#child.stderr }).on('line', (line) => {
        this.#heard('err', `${line}\n`);
        this.#noteLine(line);
      });
    }
    this.ended = once(this.#child, 'close').then(([code, signal]) => {
      this.#isOver = true;
      this.#tellListeners();
      return { code, signal, ...this.#text };
    });
  }

  /** What it wrote to its log so far. */
  get log(): readonly LogLine[] {
    return this.#log;
  }

  /** The end of what it wrote to standard error. */
  get lastWords(): string {
    return this.#text.err.slice(-2000);
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Sends SIGKILL to this process alone, and waits until nothing that it started is left either. */
  async kill(): Promise<CommandEnd> {
    this.#child.kill('SIGKILL');
    const end = await this.ended;
    await untilNoneMarked(this.#mark);
    return end;
  }

  /** The first match in its standard output. @throws when it ends without. */
  async untilSaid(pattern: RegExp): Promise<RegExpExecArray> {
    return this.#until(() => pattern.exec(this.#text.out) ?? undefined, String(pattern));
  }

  /** The first line of its log, from line number `from` on, that `isMeant`. @throws when it ends without. */
  async untilLogged(isMeant: (line: LogLine) => boolean, what: string, from = 0): Promise<LogLine> {
    return this.#until(() => this.#log.slice(from).find(isMeant), what);
  }

  async #until<T>(look: () => T | undefined, what: string): Promise<T> {
    const deadline = AbortSignal.timeout(HANG_MS);
    deadline.addEventListener('abort', () => this.#tellListeners(), { once: true });
    for (;;) {
      const found = look();
      if (found !== undefined) {
        return found;
      }
      if (this.#isOver || deadline.aborted) {
        const how = this.#isOver ? 'it ended' : `${HANG_MS} ms passed`;
        throw new Error(`waited for ${what}; ${how}. It wrote:\n${this.#text.out}${this.lastWords}`);
      }
      await new Promise<void>((resolve) => this.#listeners.add(resolve));
    }
  }

  #heard(stream: 'out' | 'err', text: string): void {
    this.#text[stream] += text;
    this.#tellListeners();
  }

  #noteLine(line: string): void {
    if (line.startsWith('{')) {
      this.#log.push(JSON.parse(line) as LogLine);
      this.#tellListeners();
    }
  }

  #tellListeners(): void {
    for (const resolve of this.#listeners) {
      resolve();
    }
    this.#listeners.clear();
  }
}

/** A service that listens. */
export interface Service {
  readonly process: CommandProcess;
  readonly address: string;
}

/** `maskterial serve <what>`; resolves once it listens. */
export async function startService(what: 'registry' | 'inference', options: CommandOptions): Promise<Service> {
  const service = new CommandProcess(['serve', what], options);
  try {
    const [, address = ''] = await service.untilSaid(new RegExp(`${what}\\s+(\\S+:\\d+)`));
    return { process: service, address };
  } catch (error) {
    // Nobody else knows of it: it would keep the test's file from ending.
    await service.kill();
    throw error;
  }
}
