import { setTimeout as sleep } from 'node:timers/promises';
import type { OnRolloutEvent } from './events.ts';
import type { LastKnown } from './last-known.ts';

export interface MemoryDeps {
  /** Where the aliases served last are kept. */
  readonly lastKnown: { read(): Promise<LastKnown | undefined>; write(state: LastKnown): Promise<void> };
  readonly onEvent: OnRolloutEvent;
}

/** A write of a few hundred bytes takes milliseconds. */
const WRITE_LIMIT_MS = 1000;

/** Remembers what is served, for the next start. What cannot be written down is told and otherwise costs nothing. */
export class Memory {
  readonly #deps: MemoryDeps;
  readonly #writing = new Set<Promise<void>>();

  constructor(deps: MemoryDeps) {
    this.#deps = deps;
  }

  /** Waits for the disk, but not for one that does not answer: serving matters more then. */
  async remember(state: LastKnown): Promise<void> {
    const written = this.#write(state);
    this.#writing.add(written);
    void written.finally(() => this.#writing.delete(written));
    const limit = new AbortController();
    const late = sleep(WRITE_LIMIT_MS, undefined, { signal: limit.signal }).catch(() => undefined);
    await Promise.race([written, late]);
    limit.abort();
  }

  /** Resolves once all that was to be remembered is written down. */
  async settled(): Promise<void> {
    await Promise.all(this.#writing);
  }

  async #write(state: LastKnown): Promise<void> {
    try {
      await this.#deps.lastKnown.write(state);
    } catch (error) {
      this.#deps.onEvent({ kind: 'defect', error });
    }
  }
}
