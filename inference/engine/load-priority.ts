import { readdirSync } from 'node:fs';
import { getPriority, setPriority } from 'node:os';

/** The operating system's side of it. A higher number is a lower priority; each call throws where it is not permitted. */
export interface PrioritySystem {
  own(): number;
  set(id: number, priority: number): void;
  /** Ids of what `set` reaches of a process: on Linux each thread has a priority of its own. */
  threads(pid: number): readonly number[];
}

const LOWER_BY = 10;
const LOWEST = 19;

/**
 * Engines that load while others serve do so at a lower priority, and get the server's own back when they are ready. Only a
 * process with the right to (root, CAP_SYS_NICE, a RLIMIT_NICE) may raise one again: where it may not, nothing is lowered.
 */
export class LoadPriority {
  readonly #system: PrioritySystem;
  readonly #onRefused: (error: unknown) => void;
  #isPermitted: boolean | undefined;

  /** `onRefused` is called once, when the first try shows that it is not permitted. */
  constructor(onRefused: (error: unknown) => void, system = OPERATING_SYSTEM) {
    this.#onRefused = onRefused;
    this.#system = system;
  }

  /** For a process that was just started: its threads will inherit the priority. */
  lower(pid: number): void {
    const own = this.#system.own();
    this.#trying(() => {
      if (this.#isPermitted === undefined) {
        // The way back is tried with the smallest step: an engine left a step lower does no harm, ten steps lower it would.
        this.#system.set(pid, Math.min(LOWEST, own + 1));
        this.#system.set(pid, own);
        this.#isPermitted = true;
      }
      this.#system.set(pid, Math.min(LOWEST, own + LOWER_BY));
    });
  }

  restore(pid: number): void {
    this.#trying(() => {
      // Twice: a thread begun by one that was not reached yet has the old priority.
      for (let pass = 0; pass < 2; pass += 1) {
        for (const id of this.#system.threads(pid)) {
          this.#system.set(id, this.#system.own());
        }
      }
    });
  }

  #trying(change: () => void): void {
    if (this.#isPermitted === false) {
      return;
    }
    try {
      change();
    } catch (error) {
      // What ended meanwhile needs no priority.
      if (!isGone(error)) {
        this.#isPermitted = false;
        this.#onRefused(error);
      }
    }
  }
}

const OPERATING_SYSTEM: PrioritySystem = {
  own: () => getPriority(),
  set: setPriority,
  threads: (pid) => (process.platform === 'linux' ? readdirSync(`/proc/${pid}/task`).map(Number) : [pid]),
};

/** `os.setPriority` puts the code into `info`. */
function isGone(error: unknown): boolean {
  if (!(error instanceof Error)) {
    return false;
  }
  const info: unknown = 'info' in error ? error.info : error;
  return typeof info === 'object' && info !== null && 'code' in info && (info.code === 'ESRCH' || info.code === 'ENOENT');
}
