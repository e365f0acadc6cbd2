import { createHash } from 'node:crypto';
import { seededRandom } from '../bundle-models.ts';
import { seededBytes } from '../registry/sample-version.ts';

/** Chance that repeats itself: the same seed and label give the same numbers on every machine. */
export class SeededRandom {
  readonly #label: string;
  readonly #next: () => number;

  constructor(seed: number, label: string) {
    this.#label = `${seed} ${label}`;
    this.#next = seededRandom(createHash('sha256').update(this.#label).digest().readInt32LE(0));
  }

  /** In [0, 1). */
  unit(): number {
    return this.#next() + 0.5;
  }

  /** A whole number in [0, `limit`). */
  below(limit: number): number {
    return Math.floor(this.unit() * limit);
  }

  /** A whole number in [`low`, `high`]. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1);
  }

  isChance(probability: number): boolean {
    return this.unit() < probability;
  }

  pick<T>(choices: readonly T[]): T {
    const chosen = choices[this.below(choices.length)];
    if (chosen === undefined) {
      throw new Error('nothing to choose from');
    }
    return chosen;
  }

  /** The same bytes at every call of one length. */
  bytes(length: number): Buffer {
    return seededBytes(`${this.#label} ${this.below(2 ** 31)}`, length);
  }
}
