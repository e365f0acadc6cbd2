import type { Missing } from './held-chunks.ts';
import type { SeededRandom } from './seeded-random.ts';

/** Random moments within operations as long as they were measured, and what was hit at them. */
export class Moments {
  readonly #random: SeededRandom;
  readonly #lengthsMs = new Map<string, number>();
  readonly #hits = new Map<string, number>();

  constructor(random: SeededRandom) {
    this.#random = random;
  }

  /** The newest measurement counts: the machine may have become slower. */
  async measure(operation: string, run: () => Promise<unknown>): Promise<void> {
    const began = performance.now();
    await run();
    this.#lengthsMs.set(operation, performance.now() - began);
  }

  /** Milliseconds from the operation's begin on. */
  next(operation: string): number {
    const lengthMs = this.#lengthsMs.get(operation);
    if (lengthMs === undefined) {
      throw new Error(`${operation} was not measured`);
    }
    return this.#random.unit() * lengthMs;
  }

  hit(what: string): void {
    this.#hits.set(what, (this.#hits.get(what) ?? 0) + 1);
  }

  /** To the nearest tenth of all bytes. */
  hitWith(what: string, missing: Missing): void {
    this.hit(`${what} ${Math.round((10 * missing.bytes) / missing.totalBytes) * 10} %`);
  }

  summary(): string {
    const lengths = [...this.#lengthsMs].map(([operation, ms]) => `${operation} took ${Math.round(ms)} ms`);
    const hits = [...this.#hits].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([what, count]) => `${what}: ${count}`);
    return [...lengths, ...hits].join('; ');
  }
}
