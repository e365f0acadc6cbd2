import { type BlobRef, refOf } from '../../proto/wire/digest.ts';
import { bytesOf } from '../predict-request.ts';

/** An image's file: read before its turn, and again each time that it has to be sent once more. */
export class ImageFile {
  readonly path: string;
  #ahead: Uint8Array | undefined;
  #last: BlobRef | undefined;

  constructor(path: string) {
    this.path = path;
  }

  /** Of the bytes that were read last: what an answer that comes now is the answer to. */
  get ref(): BlobRef | undefined {
    return this.#last;
  }

  /** @throws ServiceError as bytesOf does. */
  async readAhead(): Promise<Uint8Array> {
    this.#ahead = await this.#read();
    return this.#ahead;
  }

  /** What was read ahead is given once and let go. @throws ServiceError as bytesOf does. */
  async read(): Promise<Uint8Array> {
    const ahead = this.#ahead;
    this.#ahead = undefined;
    return ahead ?? (await this.#read());
  }

  async #read(): Promise<Uint8Array> {
    const bytes = await bytesOf({ path: this.path });
    this.#last = refOf(bytes);
    return bytes;
  }
}
