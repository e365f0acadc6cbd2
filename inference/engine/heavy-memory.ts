import { setTimeout as sleep } from 'node:timers/promises';
import { ServiceError, throwIfAborted } from '../../proto/wire/errors.ts';
import type { Pass } from '../rollout/backoff.ts';
import { Notice } from '../rollout/notice.ts';
import type { EngineProcess } from './engine-process.ts';
import type { KeptMemory } from './kept-memory.ts';

export interface HeavyMemorySettings {
  /** What the engines of all heavy models may take together at their peaks. */
  readonly memoryBytes: number;
  /** An engine that holds more is killed; 0 is no limit. */
  readonly memoryLimitBytes: number;
  /** Of each model. */
  readonly engines: number;
}

/** What a model has of the memory for heavy models. */
export interface Place {
  readonly label: string;
  /** Of all its engines. */
  readonly peakBytes: number;
  /** `waiting`: it will have a share, and counts for nothing yet. `leaving`: it counts until its engines are gone. */
  state: 'waiting' | 'taken' | 'leaving';
  /** Once its engines are there. */
  kept: KeptMemory<EngineProcess> | undefined;
}

/** Three usual runs. While a load waits nothing else is loaded, and a run that takes much longer may well hang. */
const ROOM_WAIT_MS = 30_000;
const UNTIL_RUNS_END = ' until runs under way have ended';

/** The memory for heavy models: at no time may all that is there, and all runs under way, take more of it than there is. */
export class HeavyMemory {
  readonly #settings: HeavyMemorySettings;
  readonly #pass: Pass;
  readonly #places = new Set<Place>();
  readonly #changes = new Notice();

  constructor(settings: HeavyMemorySettings, pass: Pass = sleep) {
    this.#settings = settings;
    this.#pass = pass;
  }

  /**
   * Room for a model at its peak. What large images took while there was more for them is given back first. A run that may take
   * too much is waited for, once and no longer than ROOM_WAIT_MS: it may hang, and other models are not to hang with it. Where that
   * run alone leaves no room nothing else is waited for or given back: it would be in vain.
   * Gives resource-exhausted INSUFFICIENT_MEMORY where there is no room. @throws the signal's reason when aborted.
   */
  async take(label: string, peakBytes: number, signal: AbortSignal): Promise<Place | ServiceError> {
    const refusal =
      this.#refusal(label, peakBytes, ({ peakBytes: counted }) => counted) ??
      this.#refusal(label, peakBytes, leastBytesOf, UNTIL_RUNS_END);
    if (refusal !== undefined) {
      return refusal;
    }
    const place: Place = { label, peakBytes, state: 'waiting', kept: undefined };
    this.#places.add(place);
    try {
      for (const { kept } of this.#places) {
        kept?.renewLarge();
      }
      await Promise.all([...this.#places].flatMap(({ kept }) => kept?.settled() ?? []));
      throwIfAborted(signal);
      const lasting = await this.#wait(place, signal);
      if (lasting !== undefined) {
        this.free(place);
        return lasting;
      }
      place.state = 'taken';
      return place;
    } catch (error) {
      this.free(place);
      throw error;
    }
  }

  /** Its engines are gone. */
  free(place: Place): void {
    this.#places.delete(place);
    this.changed();
  }

  /** Less may be held than before. */
  changed(): void {
    this.#changes.notify();
  }

  /** What one engine is to keep to: what its model is counted for, and an equal part of what is counted for none. */
  shareBytes({ peakBytes }: Place): number {
    const places = [...this.#places];
    const free = Math.max(0, this.#settings.memoryBytes - sum(places, (place) => place.peakBytes));
    const sharing = places.filter(({ state }) => state !== 'leaving').length;
    return this.#limited((peakBytes + free / Math.max(1, sharing)) / this.#settings.engines);
  }

  /** What a run may take now on an engine that holds so much: no more than is there while other runs hold more than their share. */
  allowedBytes(place: Place, heldBytes: number): number {
    const left = this.#settings.memoryBytes - sum(this.#takers(), heldBytesOf) + heldBytes;
    const countedBytes = place.peakBytes / this.#settings.engines;
    return Math.min(this.shareBytes(place), Math.max(countedBytes, left));
  }

  /** Waits for the end of runs that may take too much. Why there is no room even then; undefined once there is. */
  async #wait(place: Place, signal: AbortSignal): Promise<ServiceError | undefined> {
    const done = new AbortController();
    let isOver = false;
    const over = (): void => {
      isOver = true;
      this.changed();
    };
    let refusal = this.#runRefusal(place);
    if (refusal !== undefined && this.#isAnyAwaited()) {
      this.#pass(ROOM_WAIT_MS, undefined, { signal: done.signal }).then(over, () => undefined);
    }
    try {
      while (refusal !== undefined && !isOver && this.#isAnyAwaited()) {
        await this.#changes.wait(signal);
        refusal = this.#runRefusal(place);
      }
      return refusal;
    } finally {
      done.abort();
      if (isOver && refusal !== undefined) {
        for (const { kept } of this.#places) {
          kept?.giveUp();
        }
      }
    }
  }

  #isAnyAwaited(): boolean {
    return [...this.#places].some(({ kept }) => kept?.isAwaited === true);
  }

  /** By what is held now, and may be until the runs under way have ended. */
  #runRefusal({ label, peakBytes }: Place): ServiceError | undefined {
    return this.#refusal(label, peakBytes, heldBytesOf, UNTIL_RUNS_END);
  }

  #refusal(label: string, neededBytes: number, bytesOf: (place: Place) => number, until = ''): ServiceError | undefined {
    const { memoryBytes } = this.#settings;
    const takers = this.#takers();
    const taken = sum(takers, bytesOf);
    if (neededBytes + taken <= memoryBytes) {
      return undefined;
    }
    const names = takers.map((taker) => `${taker.label} (${Math.ceil(bytesOf(taker))})`).join(', ');
    const message = `${label} takes ${neededBytes} bytes at its peak; of ${memoryBytes} for such models ${Math.ceil(taken)} are taken by ${names || 'none'}${until}`;
    return new ServiceError('resource-exhausted', 'INSUFFICIENT_MEMORY', message);
  }

  #takers(): Place[] {
    return [...this.#places].filter(({ state }) => state !== 'waiting');
  }

  #limited(bytes: number): number {
    const { memoryLimitBytes } = this.#settings;
    return memoryLimitBytes > 0 ? Math.min(memoryLimitBytes, bytes) : bytes;
  }
}

function heldBytesOf({ kept, peakBytes }: Place): number {
  return kept?.heldBytes ?? peakBytes;
}

function leastBytesOf({ kept, peakBytes }: Place): number {
  return kept?.leastBytes ?? peakBytes;
}

function sum(places: readonly Place[], bytesOf: (place: Place) => number): number {
  return places.reduce((total, place) => total + bytesOf(place), 0);
}
