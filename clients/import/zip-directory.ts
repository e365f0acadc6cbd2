import { crc32 } from 'node:zlib';
import { type Entry, fromRandomAccessReaderPromise, RandomAccessReader, type ZipFile } from 'yauzl';
import { isServiceError, throwIfAborted } from '../../proto/wire/errors.ts';
import { invalidBundle, quote } from './bundle-error.ts';
import type { ByteReader } from './bundle-source.ts';

/** One file of a zip. Its name has no "..", is relative and uses forward slashes. */
export interface ZipEntry {
  readonly name: string;
  readonly sizeBytes: number;
  readonly storedBytes: number;
  readonly method: 'stored' | 'deflated' | 'other';
  readonly isEncrypted: boolean;
  readonly isSymbolicLink: boolean;
  /** Of the content; 0 = not computed, which PyTorch can be told to do. */
  readonly crc32: number;
  /** Where its bytes begin: behind the local header, which is read at the first call. */
  locate(): Promise<number>;
}

/**
 * The central directory of a zip (zip64 too), folders left out.
 * @throws INVALID_BUNDLE naming the file: not a zip, truncated, over `maxEntries`, a name that is absolute, leaves the zip or
 * occurs twice.
 */
export async function readZipDirectory(reader: ByteReader, maxEntries: number, signal: AbortSignal): Promise<ZipEntry[]> {
  try {
    const zipReader = new ZipReader(reader);
    const zip = await fromRandomAccessReaderPromise(zipReader, reader.sizeBytes, { autoClose: false });
    if (zip.entryCount > maxEntries) {
      throw invalidBundle(reader.file, `a zip of ${zip.entryCount} entries, at most ${maxEntries} are read`);
    }
    const entries = new Map<string, ZipEntry>();
    for await (const entry of zip.eachEntry()) {
      throwIfAborted(signal);
      if (entry.fileName.endsWith('/')) {
        continue;
      }
      if (entries.has(entry.fileName)) {
        throw invalidBundle(reader.file, `holds ${quote(entry.fileName)} twice`);
      }
      entries.set(entry.fileName, toZipEntry(zip, entry, reader.file));
    }
    zipReader.stopReadingAhead();
    return [...entries.values()];
  } catch (error) {
    throw asBundleError(error, reader.file);
  }
}

/** @throws INVALID_BUNDLE where `bytes`, the whole content of `entry`, are not those that were put in. */
export function checkCrc32(entry: ZipEntry, found: number, file: string): void {
  if (entry.crc32 !== 0 && entry.crc32 !== found) {
    throw invalidBundle(file, `${quote(entry.name)} is damaged: its CRC-32 is ${hex(found)}, the zip says ${hex(entry.crc32)}`);
  }
}

export function crc32Of(bytes: Uint8Array, before = 0): number {
  return crc32(bytes, before);
}

function hex(value: number): string {
  return value.toString(16).padStart(8, '0');
}

/** Upper byte of "version made by": the system whose file attributes follow. */
const UNIX = 3;
const FILE_TYPE_MASK = 0o170000;
const SYMBOLIC_LINK = 0o120000;

function toZipEntry(zip: ZipFile, entry: Entry, file: string): ZipEntry {
  const unixMode = entry.versionMadeBy >>> 8 === UNIX ? entry.externalFileAttributes >>> 16 : 0;
  return {
    name: entry.fileName,
    sizeBytes: entry.uncompressedSize,
    storedBytes: entry.compressedSize,
    method: entry.compressionMethod === 0 ? 'stored' : entry.compressionMethod === 8 ? 'deflated' : 'other',
    isEncrypted: entry.isEncrypted(),
    isSymbolicLink: (unixMode & FILE_TYPE_MASK) === SYMBOLIC_LINK,
    crc32: entry.crc32,
    locate: async () => {
      try {
        return (await zip.readLocalFileHeaderPromise(entry, { minimal: true })).fileDataStart;
      } catch (error) {
        throw asBundleError(error, file);
      }
    },
  };
}

/** The zip library's errors are all about the file's content; ours, from the reader, pass through. */
function asBundleError(error: unknown, file: string): unknown {
  return isServiceError(error)
    ? error
    : invalidBundle(file, `not a readable zip: ${error instanceof Error ? quote(error.message) : 'unknown'}`, error);
}

/** The directory is read a few dozen bytes at a time; this many are fetched at once. */
const READ_AHEAD_BYTES = 64 * 1024;
const NOTHING_AHEAD = { at: 0, bytes: new Uint8Array(0) };

/** Feeds the zip library from a ByteReader. Of the base class only `read` is used, for headers; content is read elsewhere. */
class ZipReader extends RandomAccessReader {
  readonly #reader: ByteReader;
  #ahead: { readonly at: number; readonly bytes: Uint8Array } = NOTHING_AHEAD;
  #readAheadBytes = READ_AHEAD_BYTES;

  constructor(reader: ByteReader) {
    super();
    this.#reader = reader;
  }

  /** Local headers lie far apart, each before content that will be read next and must not have been passed. */
  stopReadingAhead(): void {
    this.#readAheadBytes = 0;
    this.#ahead = NOTHING_AHEAD;
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null, bytesRead?: number) => void,
  ): void {
    this.#read(position, length)
      .then((bytes) => buffer.set(bytes, offset))
      .then(
        () => callback(null, length),
        (error: unknown) => callback(error instanceof Error ? error : new Error('cannot read', { cause: error })),
      );
  }

  async #read(position: number, length: number): Promise<Uint8Array> {
    const from = position - this.#ahead.at;
    if (from >= 0 && from + length <= this.#ahead.bytes.byteLength) {
      return this.#ahead.bytes.subarray(from, from + length);
    }
    const end = Math.min(position + Math.max(length, this.#readAheadBytes), this.#reader.sizeBytes);
    const bytes = await this.#reader.read(position, Math.max(end - position, length));
    this.#ahead = { at: position, bytes };
    return bytes.subarray(0, length);
  }
}
