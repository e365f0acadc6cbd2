import { errorLine } from './report-error.ts';
import { formatCount, formatVersion } from './result-words.ts';
import type { FilteredAnswer } from './flake-filter.ts';
import { printable } from './table.ts';

export interface Failure {
  readonly path: string;
  readonly error: unknown;
}

/** What came of a run, counted as it goes. */
export class RunReport {
  readonly #total: number;
  readonly #failures: Failure[] = [];
  readonly #versions = new Map<string, number>();
  #endedCount = 0;
  #doneCount = 0;
  #beforeCount = 0;
  #flakeCount = 0;
  #leftOutCount: number | undefined;

  constructor(total: number) {
    this.#total = total;
  }

  get hasFailures(): boolean {
    return this.#failures.length > 0;
  }

  /** One image came to its end; an answer can come with an error, where only its picture failed. */
  add(path: string, answer: FilteredAnswer | undefined, error: unknown, isFromBefore: boolean): void {
    this.#endedCount += 1;
    if (answer !== undefined) {
      this.#flakeCount += answer.flakes.length;
      if (answer.leftOutCount !== undefined) {
        this.#leftOutCount = (this.#leftOutCount ?? 0) + answer.leftOutCount;
      }
      const versions = answer.summary.models.map(formatVersion).join(' ');
      this.#versions.set(versions, (this.#versions.get(versions) ?? 0) + 1);
    }
    if (error === undefined) {
      this.#doneCount += 1;
      this.#beforeCount += isFromBefore ? 1 : 0;
    } else {
      this.#failures.push({ path, error });
    }
  }

  /** The sums, what did not come to its end, and the failures one a line. Of a single image that is done there is nothing to say. */
  format(outdatedCount = 0): string {
    return [...this.#sums(outdatedCount), ...this.#failureLines()].map((line) => `${line}\n`).join('');
  }

  *#sums(outdatedCount: number): Generator<string> {
    if (this.#total > 1) {
      const before = this.#beforeCount > 0 ? ` (${this.#beforeCount} of them before)` : '';
      const flakes = formatCount(this.#flakeCount, 'flake');
      yield `${this.#doneCount} of ${this.#total} images done${before}, ${flakes}${this.#leftOut()}`;
    } else if (this.#leftOutCount !== undefined) {
      yield `${formatCount(this.#flakeCount, 'flake')}${this.#leftOut()}`;
    }
    if (this.#versions.size > 1) {
      const counts = [...this.#versions].map(([versions, count]) => `${versions}: ${formatCount(count, 'image')}`);
      yield `by ${counts.join('; ')}`;
    }
    if (outdatedCount > 0) {
      yield `${formatCount(outdatedCount, 'earlier result')} by other versions done again (--keep-old keeps them)`;
    }
    const unfinished = this.#total - this.#endedCount;
    if (unfinished > 0) {
      yield `${formatCount(unfinished, 'image')} not done`;
    }
  }

  #leftOut(): string {
    return this.#leftOutCount === undefined ? '' : `, ${this.#leftOutCount} more left out by --layers or --min-area-um2`;
  }

  #failureLines(): string[] {
    if (this.#failures.length === 0) {
      return [];
    }
    const lines = this.#failures.map(
      ({ path, error }) => `  ${printable(aboutImage(path, errorLine(error).replace(/^error: /, '')))}`,
    );
    return [`${this.#failures.length} of ${formatCount(this.#total, 'image')} failed:`, ...lines];
  }
}

/** Names the image that a message is about, once. */
export function aboutImage(path: string, message: string): string {
  return [`${path}: `, `cannot read ${path}: `].some((start) => message.startsWith(start)) ? message : `${path}: ${message}`;
}
