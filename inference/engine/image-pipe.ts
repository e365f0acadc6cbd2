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
  #wanted: { readonly sizeBytes: number; readonly resolve: (image: Uint8Array) => void } | undefined;

  constructor(fd = IMAGE_PIPE_FD) {
    const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
    const callback = (count: number): boolean => {
      this.#take(buffer.subarray(0, count));
      return true;
    };
    // When the other end goes, the message channel ends too, and that is where the process learns of it.
    const options: SocketConstructorOpts & ConnectOpts = { fd, readable: true, writable: false, onread: { buffer, callback } };
    new Socket(options).on('error', () => undefined).resume();
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
