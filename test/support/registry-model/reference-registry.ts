import type { Registry } from '../../../registry/release/registry.ts';
import type { ReferenceBlobs } from './reference-blobs.ts';
import { ReferenceCatalog } from './reference-catalog.ts';
import type { ReferenceLive } from './reference-live.ts';
import { type ReferenceStaging, refuse } from './reference-records.ts';

/** A request as it was made before, at any registry. */
export interface Repeatable {
  perform(registry: Registry, by: number): Promise<unknown>;
  expect(by: number): unknown;
}

/** What a registry is: the state that every call is judged by. */
export class ReferenceRegistry extends ReferenceCatalog {
  readonly stagings: ReferenceStaging[] = [];
  readonly blobs: ReferenceBlobs;
  /** What each registry process knows of servers and prefetches; one for all where they share it. */
  readonly #live: readonly ReferenceLive[];
  /** The places that watches gave, as the number of moves before. */
  readonly watchedAt: number[] = [];
  /** Those with an id, to be made again. */
  readonly requests: Repeatable[] = [];
  readonly #answers = new Map<string, { readonly content: string; readonly answer: unknown }>();
  /** When the last watch began. */
  beganMs: number;

  constructor(nowMs: number, blobs: ReferenceBlobs, live: readonly ReferenceLive[]) {
    super(nowMs);
    this.beganMs = nowMs;
    this.blobs = blobs;
    this.#live = live;
  }

  /** Undefined for a number that no staging has. */
  staging(index: number): ReferenceStaging | undefined {
    const staging = this.stagings[index];
    return staging?.isEnded === true ? undefined : staging;
  }

  /** What registry number `by` knows. */
  live(by: number): ReferenceLive {
    const live = this.#live[by % this.#live.length];
    if (live === undefined) {
      throw new Error('a reference needs live state');
    }
    return live;
  }

  /** Whether something ended in the last `ms`, so that a clock set back would bring it back to some stores and not to others. */
  hasEndedWithin(ms: number): boolean {
    return this.#live.some((live) => live.hasEndedWithin(this.nowMs, ms));
  }

  /** Answers a repeated request as the first time, unless `again` says otherwise. */
  once<T>(
    request: { readonly operation: string; readonly id: string; readonly content: unknown },
    action: () => T,
    again?: (first: T) => T,
  ): T {
    const { operation, id } = request;
    if (id === '') {
      return action();
    }
    const content = JSON.stringify(request.content);
    const known = this.#answers.get(`${operation} ${id}`);
    if (known === undefined) {
      const answer = action();
      this.#answers.set(`${operation} ${id}`, { content, answer });
      return answer;
    }
    if (known.content !== content) {
      return refuse('invalid-argument', 'REQUEST_ID_REUSED');
    }
    const first = known.answer as T;
    return again === undefined ? first : again(first);
  }
}
