/** An image as a decoder gives it: `rgb` holds `height * width * 3` bytes, rows top to bottom, interleaved R, G, B. */
export interface DecodedImage {
  readonly width: number;
  readonly height: number;
  /**
   * R, G, B as image libraries give it. The one swap to B, G, R, the order of every later stage, happens where a colour's key
   * is formed (`colours.ts`): swapping seven megabytes would cost more than the stages after it.
   */
  readonly rgb: Uint8Array;
}

/** PORT: encoded bytes to 8-bit pixels. */
export interface Decoder {
  /**
   * EXIF orientation applied, alpha dropped (not flattened), no colour management, grey replicated, 16 bits cut to the high
   * byte. The result is the caller's own.
   * @throws ServiceError invalid-argument UNDECODABLE_IMAGE saying what was found; invalid-argument IMAGE_TOO_LARGE, before the
   * pixels' memory is spent; resource-exhausted INSUFFICIENT_MEMORY with a retry delay where there is none for them now; the signal's reason when aborted.
   */
  decode(bytes: Uint8Array, signal: AbortSignal): Promise<DecodedImage>;
}
