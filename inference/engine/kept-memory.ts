/** In pixels. */
export interface ImageSize {
  readonly width: number;
  readonly height: number;
}

/** What memory there is for the engines of one heavy model. */
export interface MemoryShare {
  /** What one of them is counted for, whatever it does. */
  readonly peakBytes: number;
  /** What one of them is to keep to; less once another model is there. */
  readonly shareBytes: () => number;
  /** What a run may take now on one that holds so much already: its share, or less while another model's run holds more. */
  readonly allowedBytes: (heldBytes: number) => number;
  /** What one takes for an image of this size. */
  readonly takenBytes: (image: ImageSize) => number;
}

/** What is asked of an engine here. */
export interface KeepingEngine {
  /** Told to end: what it holds comes back in a moment, once it has exited. */
  readonly isEnding: boolean;
  /** Never rejects. */
  readonly exited: Promise<unknown>;
  /** Ends one that works on nothing. */
  renew(): void;
}

interface Run {
  maxBytes: number;
  isDecoded: boolean;
  /** A load waited for its end, in vain. */
  isGivenUp: boolean;
}

/**
 * What the engines of one heavy model hold. Each keeps what its largest image took: ONNX Runtime and the allocator give little of it
 * back before the process ends. One that keeps more than its share is renewed as soon as it works on nothing.
 */
export class KeptMemory<E extends KeepingEngine> {
  readonly #share: MemoryShare;
  readonly #seats: readonly { readonly engine: E | undefined }[];
  readonly #onLess: () => void;
  readonly #kept = new WeakMap<E, number>();
  readonly #runs = new Map<E, Run>();
  /** Engines that had a run, and whether they have ended since. */
  readonly #isGone = new WeakMap<E, boolean>();

  /** `onLess` is called whenever less may be held than before. */
  constructor(share: MemoryShare, seats: readonly { readonly engine: E | undefined }[], onLess: () => void) {
    this.#share = share;
    this.#seats = seats;
    this.#onLess = onLess;
  }

  /** A run begins; gives what it may take, for which it counts until its image is known. */
  begins(engine: E): number {
    this.#watch(engine);
    const maxBytes = this.#share.allowedBytes(this.#heldBy(engine));
    this.#runs.set(engine, { maxBytes, isDecoded: false, isGivenUp: false });
    return maxBytes;
  }

  /** The run's image has this size. */
  decoded(engine: E, image: ImageSize): void {
    const run = this.#runs.get(engine);
    if (run !== undefined) {
      run.maxBytes = Math.min(run.maxBytes, this.#share.takenBytes(image));
      run.isDecoded = true;
      this.#onLess();
    }
  }

  /** The run ended; before any image was decoded it took nothing. */
  ended(engine: E): void {
    const run = this.#runs.get(engine);
    this.#runs.delete(engine);
    if (run?.isDecoded === true) {
      this.#kept.set(engine, this.#claimOf(engine, run));
    }
    this.#renewIfLarge(engine);
    this.#onLess();
  }

  /** Of all its engines, at most, until the runs under way end. */
  get heldBytes(): number {
    return this.#seats.reduce(
      (sum, { engine }) => sum + (engine === undefined ? this.#share.peakBytes : this.#heldBy(engine)),
      0,
    );
  }

  /** The same once all runs have ended but those that are given up, and all engines were replaced that keep much. */
  get leastBytes(): number {
    return this.#seats.reduce(
      (sum, { engine }) => sum + (engine !== undefined && this.#isStaying(engine) ? this.#heldBy(engine) : this.#share.peakBytes),
      0,
    );
  }

  /** A run is worth waiting for, after which less will be held, or an engine that was told to end. */
  get isAwaited(): boolean {
    return (
      [...this.#runs].some(([engine, run]) => !run.isGivenUp && this.#isTooMuch(this.#claimOf(engine, run))) ||
      this.#seats.some(({ engine }) => engine?.isEnding === true && this.#heldBy(engine) > this.#share.peakBytes)
    );
  }

  /** No load waits for the runs under way a second time. */
  giveUp(): void {
    for (const run of this.#runs.values()) {
      run.isGivenUp = true;
    }
  }

  /** Ends the engines that work on nothing and keep more than their share. */
  renewLarge(): void {
    for (const { engine } of this.#seats) {
      if (engine !== undefined && !this.#runs.has(engine)) {
        this.#renewIfLarge(engine);
      }
    }
  }

  /** Resolves once all engines that were told to end are gone. */
  async settled(): Promise<void> {
    await Promise.all(this.#seats.flatMap(({ engine }) => (engine?.isEnding === true ? [engine.exited] : [])));
  }

  /** What an engine held comes back with its end, whatever ended it, and no earlier. */
  #watch(engine: E): void {
    if (!this.#isGone.has(engine)) {
      this.#isGone.set(engine, false);
      void engine.exited.then(() => {
        this.#isGone.set(engine, true);
        this.#onLess();
      });
    }
  }

  /** With a run that no load waits for. */
  #isStaying(engine: E): boolean {
    return !engine.isEnding && this.#runs.get(engine)?.isGivenUp === true;
  }

  #heldBy(engine: E): number {
    if (this.#isGone.get(engine) === true) {
      return this.#share.peakBytes;
    }
    return Math.max(this.#share.peakBytes, this.#claimOf(engine, this.#runs.get(engine)));
  }

  #claimOf(engine: E, run: Run | undefined): number {
    return Math.max(this.#kept.get(engine) ?? 0, run?.maxBytes ?? 0);
  }

  #renewIfLarge(engine: E): void {
    if (!engine.isEnding && this.#isTooMuch(this.#kept.get(engine) ?? 0)) {
      engine.renew();
    }
  }

  #isTooMuch(bytes: number): boolean {
    return bytes > this.#share.shareBytes();
  }
}
