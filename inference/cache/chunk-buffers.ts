import { CHUNK_BYTES } from '../../proto/wire/chunks.ts';
import { abortError, throwIfAborted } from '../../proto/wire/errors.ts';

export interface ChunkBuffer {
  /** `CHUNK_BYTES` long; only until `release`. */
  readonly bytes: Buffer;
  release(): void;
}

/**
 * The cache's memory: at most `count` buffers of one chunk each, shared by all downloads, so that the ceiling holds however many
 * blobs are fetched at once. Buffers are used again; all are let go when none is in use.
 */
export class ChunkBuffers {
  readonly #count: number;
  #inUse = 0;
  #idle: Buffer[] = [];
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#count = count;
  }

  /** First come, first served. @throws the signal's reason. */
  async take(signal: AbortSignal): Promise<ChunkBuffer> {
    throwIfAborted(signal);
    if (this.#inUse < this.#count) {
      this.#inUse += 1;
    } else {
      await this.#turn(signal);
    }
    const bytes = this.#idle.pop() ?? Buffer.allocUnsafeSlow(CHUNK_BYTES);
    return { bytes, release: () => this.#release(bytes) };
  }

  #turn(signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const go = (): void => {
        signal.removeEventListener('abort', leave);
        resolve();
      };
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(go), 1);
        reject(abortError(signal));
      };
      this.#waiting.push(go);
      signal.addEventListener('abort', leave, { once: true });
    });
  }

  #release(bytes: Buffer): void {
    this.#idle.push(bytes);
    const next = this.#waiting.shift();
    if (next !== undefined) {
      next();
      return;
    }
    this.#inUse -= 1;
    if (this.#inUse === 0) {
      this.#idle = [];
    }
  }
}
