import { type ConnectOpts, Socket, type SocketConstructorOpts } from 'node:net';

/** Beside the three standard streams and the message channel. */
export const IMAGE_PIPE_FD = 4;

/** Below this a message carries the image itself: a second way would only cost. */
export const PIPED_FROM_BYTES = 64 * 1024;

/** What one read takes at most. */
const READ_BYTES = 256 * 1024;

/**
 * The engine's end of the pipe that large images come through. The message channel would copy each one four times over into new
 * memory; here it lands in a buffer that is used again. Images come in the order of their messages, one at a time.
 */
export class ImagePipe {
  #buffer = Buffer.allocUnsafeSlow(0);
  #received = 0;
  readonly #onBroken: (why: Error) => void;
  #wanted: { readonly sizeBytes: number; readonly resolve: (image: Uint8Array) => void } | undefined;

  /**
   * `onBroken` is told when the pipe ends or fails, or when more came than was announced. Whose bytes the next ones are is unknown
   * then: the process must not take another image.
   */
  constructor(onBroken: (why: Error) => void, fd = IMAGE_PIPE_FD) {
    this.#onBroken = onBroken;
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
    const callback = (count: number): boolean => {
      this.#take(buffer.subarray(0, count));
      return true;
    };
    const options: SocketConstructorOpts & ConnectOpts = { fd, readable: true, writable: false, onread: { buffer, callback } };
    new Socket(options)
      .on('error', onBroken)
      .on('end', () => onBroken(new Error('the image pipe ended')))
      .resume();
  }

  /** The next `sizeBytes` of the pipe. The view is good until the next call; only one call may wait. */
  receive(sizeBytes: number): Promise<Uint8Array> {
    return new Promise((resolve) => {
      this.#wanted = { sizeBytes, resolve };
      this.#makeRoom(sizeBytes);
      this.#deliver();
    });
  }

  #take(bytes: Uint8Array): void {
    this.#makeRoom(this.#received + bytes.byteLength);
    this.#buffer.set(bytes, this.#received);
    this.#received += bytes.byteLength;
    this.#deliver();
  }

  #deliver(): void {
    if (this.#wanted !== undefined && this.#received >= this.#wanted.sizeBytes) {
      const { sizeBytes, resolve } = this.#wanted;
      if (this.#received > sizeBytes) {
        this.#onBroken(new Error(`${this.#received} bytes came through the image pipe for an image of ${sizeBytes}`));
        return;
      }
      this.#wanted = undefined;
      this.#received = 0;
      resolve(this.#buffer.subarray(0, sizeBytes));
    }
  }

  /** Bytes may come before the message that announces them. */
  #makeRoom(sizeBytes: number): void {
    if (this.#buffer.byteLength < sizeBytes) {
      const larger = Buffer.allocUnsafeSlow(sizeBytes);
      this.#buffer.copy(larger, 0, 0, this.#received);
      this.#buffer = larger;
    }
  }
}
