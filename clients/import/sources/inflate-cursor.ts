import { pipeline, Readable } from 'node:stream';
import { createInflateRaw } from 'node:zlib';
import { isServiceError } from '../../../proto/wire/errors.ts';
import { invalidBundle } from '../bundle-error.ts';
import type { ByteReader } from '../bundle-source.ts';
import { checkCrc32, crc32Of, type ZipEntry } from '../zip-directory.ts';

const PIECE_BYTES = 64 * 1024;

/** Reads a deflated file of a zip forwards, unpacking no further than was asked for and never past its declared size. */
export class InflateCursor {
  readonly #entry: ZipEntry;
  readonly #unpacked: AsyncGenerator<Uint8Array, void>;
  /** Unpacked and not yet asked for. */
  #rest = new Uint8Array(0);
  #offsetBytes = 0;

  /** @param contentAt where the compressed bytes begin in `reader` */
  constructor(reader: ByteReader, entry: ZipEntry, contentAt: number) {
    this.#entry = entry;
    this.#unpacked = unpack(reader, entry, contentAt);
  }

  /** Bytes before this one have gone by. */
  get offsetBytes(): number {
    return this.#offsetBytes;
  }

  /** @throws INVALID_BUNDLE where the content is not deflated data, or unpacks to another size or checksum than declared. */
  async read(offsetBytes: number, lengthBytes: number): Promise<Uint8Array> {
    while (this.#offsetBytes < offsetBytes) {
      await this.#fill();
      this.#drop(Math.min(this.#rest.byteLength, offsetBytes - this.#offsetBytes));
    }
    const bytes = new Uint8Array(lengthBytes);
    for (let done = 0; done < lengthBytes; ) {
      await this.#fill();
      const piece = this.#rest.subarray(0, lengthBytes - done);
      bytes.set(piece, done);
      done += piece.byteLength;
      this.#drop(piece.byteLength);
    }
    if (this.#offsetBytes === this.#entry.sizeBytes) {
      await this.#finish();
    }
    return bytes;
  }

  async #fill(): Promise<void> {
    while (this.#rest.byteLength === 0) {
      const next = await this.#unpacked.next();
      if (next.done === true) {
        throw invalidBundle(this.#entry.name, `unpacks to ${this.#offsetBytes} bytes, the zip says ${this.#entry.sizeBytes}`);
      }
      this.#rest = new Uint8Array(next.value);
    }
  }

  /** At its end, nothing may follow, and the checksum is compared. */
  async #finish(): Promise<void> {
    if (this.#rest.byteLength > 0 || (await this.#unpacked.next()).done !== true) {
      throw invalidBundle(this.#entry.name, `unpacks to more than the ${this.#entry.sizeBytes} bytes that the zip says`);
    }
  }

  #drop(lengthBytes: number): void {
    this.#rest = this.#rest.subarray(lengthBytes);
    this.#offsetBytes += lengthBytes;
  }
}

async function* unpack(reader: ByteReader, entry: ZipEntry, contentAt: number): AsyncGenerator<Uint8Array, void> {
  const inflate = createInflateRaw({ chunkSize: PIECE_BYTES });
  // A failure of either side ends the other and comes out of the loop below.
  pipeline(Readable.from(packedPieces(reader, entry, contentAt)), inflate, () => undefined);
  let checksum = 0;
  try {
    for await (const piece of inflate) {
      const bytes: unknown = piece;
      if (bytes instanceof Uint8Array) {
        checksum = crc32Of(bytes, checksum);
        yield bytes;
      }
    }
  } catch (cause) {
    throw isServiceError(cause) ? cause : invalidBundle(entry.name, 'damaged: cannot be unpacked', cause);
  }
  checkCrc32(entry, checksum, entry.name);
}

async function* packedPieces(reader: ByteReader, entry: ZipEntry, contentAt: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < entry.storedBytes; at += PIECE_BYTES) {
    yield await reader.read(contentAt + at, Math.min(PIECE_BYTES, entry.storedBytes - at));
  }
}
