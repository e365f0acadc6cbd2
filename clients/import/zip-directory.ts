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
    const zip = await fromRandomAccessReaderPromise(new ZipReader(reader), reader.sizeBytes, { autoClose: false });
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
  return isServiceError(error) ? error : invalidBundle(file, `not a readable zip: ${error instanceof Error ? quote(error.message) : 'unknown'}`, error);
}

/** Feeds the zip library from a ByteReader; only its `read` is used, which asks for no more than a header at a time. */
class ZipReader extends RandomAccessReader {
  readonly #reader: ByteReader;

  constructor(reader: ByteReader) {
    super();
    this.#reader = reader;
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null, bytesRead?: number) => void,
  ): void {
    this.#reader
      .read(position, length)
      .then((bytes) => buffer.set(bytes, offset))
      .then(
        () => callback(null, length),
        (error: unknown) => callback(error instanceof Error ? error : new Error('cannot read', { cause: error })),
      );
  }

  override _readStreamForRange(): never {
    throw new Error('not used: content is read through the ByteReader');
  }
}
