/** In pixels. */
export interface ImageSize {
  readonly width: number;
  readonly height: number;
}

/** What memory there is for the engines of one heavy model. */
export interface MemoryShare {
  /** That one of them may take now; less once another model is loaded. */
  readonly allowedBytes: () => number;
  /** What one takes for an image of this size. */
  readonly takenBytes: (image: ImageSize) => number;
}

/** An engine keeps what its largest image took: ONNX Runtime and the allocator give little of it back before the process ends. */
export class KeptMemory<E extends object> {
  readonly #share: MemoryShare;
  readonly #begun = new WeakMap<E, number>();
  readonly #kept = new WeakMap<E, number>();

  constructor(share: MemoryShare) {
    this.#share = share;
  }

  /** A run begins; until it ends it may take what it is allowed now. */
  begins(engine: E): void {
    this.#begun.set(engine, this.#share.allowedBytes());
  }

  /** It ended after an image of this size; undefined: before any was decoded, so it took nothing. */
  ended(engine: E, image: ImageSize | undefined): void {
    const allowedBytes = this.#begun.get(engine) ?? 0;
    this.#begun.delete(engine);
    const takenBytes = image === undefined ? 0 : Math.min(allowedBytes, this.#share.takenBytes(image));
    this.#kept.set(engine, Math.max(this.#kept.get(engine) ?? 0, takenBytes));
  }

  /** A run is under way that began when there was more for it. */
  mayOutgrow(engine: E): boolean {
    return (this.#begun.get(engine) ?? 0) > this.#share.allowedBytes();
  }

  /** It keeps what another model needs now. */
  isTooMuch(engine: E): boolean {
    return (this.#kept.get(engine) ?? 0) > this.#share.allowedBytes();
  }
}
