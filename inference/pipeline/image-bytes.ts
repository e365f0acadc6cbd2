import { ServiceError } from '../../proto/wire/errors.ts';

const FIRST_CAPACITY = 64 * 1024;

/** Puts an encoded image together from pieces; holds no more than twice its bytes, however small the pieces are. */
export class ImageBytes {
  readonly #maxBytes: number;
  #held: Uint8Array = new Uint8Array();
  #length = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** @throws ServiceError invalid-argument IMAGE_TOO_LARGE, naming the bytes so far and the limit, before it takes them. */
  append(piece: Uint8Array): void {
    const length = this.#length + piece.byteLength;
    if (length > this.#maxBytes) {
      throw imageTooLarge(length, this.#maxBytes);
    }
    if (this.#length === 0) {
      // Not copied: most images of a fast client come in few pieces, many in one.
      this.#held = piece;
    } else {
      if (length > this.#held.byteLength) {
        const capacity = Math.max(length, 2 * this.#held.byteLength, FIRST_CAPACITY);
        const grown = Buffer.allocUnsafeSlow(Math.min(this.#maxBytes, capacity));
        grown.set(this.#held.subarray(0, this.#length));
        this.#held = grown;
      }
      this.#held.set(piece, this.#length);
    }
    this.#length = length;
  }

  /** The whole; nothing may be appended after. */
  take(): Uint8Array {
    return this.#held.subarray(0, this.#length);
  }
}

export function imageTooLarge(bytes: number, maxBytes: number): ServiceError {
  return new ServiceError('invalid-argument', 'IMAGE_TOO_LARGE', `image: ${bytes} bytes, the limit is ${maxBytes}`, {
    metadata: { bytes: String(bytes), max_bytes: String(maxBytes) },
  });
}
