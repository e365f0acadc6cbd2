import { orAbort } from '../cache/abort.ts';

/** What one stream holds of a room. */
export class StreamShare {
  readonly #room: StreamRoom;
  #held = 0;

  constructor(room: StreamRoom) {
    this.#room = room;
  }

  get heldBytes(): number {
    return this.#held;
  }

  hold(bytes: number): void {
    this.#held += bytes;
    this.#room.changed(bytes);
  }

  release(bytes: number): void {
    this.#held -= bytes;
    this.#room.changed(-bytes);
  }

  /** Gives everything back: the stream is over. */
  close(): void {
    this.release(this.#held);
  }

  /**
   * Resolves once this stream may begin an image. One that holds none always may: a caller that does not read its results keeps
   * what it holds, and must not keep the others from working.
   * @throws the signal's reason.
   */
  untilRoom(signal: AbortSignal): Promise<void> {
    return this.#room.until(() => this.#held === 0 || this.#room.hasRoom, signal);
  }
}

/**
 * The encoded images that all streams of a server hold together. A stream begins no image while they are `maxBytes` or more; what
 * is exceeded by is the image that each had begun.
 */
export class StreamRoom {
  readonly #maxBytes: number;
  #heldBytes = 0;
  readonly #waiting = new Set<() => void>();

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  get hasRoom(): boolean {
    return this.#heldBytes < this.#maxBytes;
  }

  /** For a stream that begins. */
  share(): StreamShare {
    return new StreamShare(this);
  }

  /** For shares. */
  changed(bytes: number): void {
    this.#heldBytes += bytes;
    if (bytes < 0) {
      for (const check of this.#waiting) {
        check();
      }
    }
  }

  /** For shares: resolves once `check` holds, those that waited longest first. @throws the signal's reason. */
  async until(check: () => boolean, signal: AbortSignal): Promise<void> {
    if (check()) {
      return;
    }
    let look = (): void => undefined;
    const found = new Promise<void>((resolve) => {
      look = () => {
        if (check()) {
          this.#waiting.delete(look);
          resolve();
        }
      };
    });
    this.#waiting.add(look);
    try {
      await orAbort(found, signal);
    } finally {
      this.#waiting.delete(look);
    }
  }
}
