import { type FileHandle, open } from 'node:fs/promises';
import { basename } from 'node:path';
import { throwIfAborted } from '../../../proto/wire/errors.ts';
import { invalidBundle, quote } from '../bundle-error.ts';
import { type BundleSource, type ByteReader, checkRange, checkSourcePath, type SourceFile } from '../bundle-source.ts';
import { checkCrc32, crc32Of, readZipDirectory, type ZipEntry } from '../zip-directory.ts';
import { InflateCursor } from './inflate-cursor.ts';

/** Limits on what a zip may claim to hold. Nothing is unpacked to disk, and no file is ever held in memory whole unread. */
export interface ZipLimits {
  readonly maxEntries: number;
  /** All files together; the published set of 25 bundles is below 5 GB. */
  readonly maxTotalBytes: number;
  /** Uncompressed over compressed. Weights compress by a few percent, logs and JSON up to some fifty times; a bomb a thousand. */
  readonly maxRatio: number;
}

export const ZIP_LIMITS: ZipLimits = { maxEntries: 10_000, maxTotalBytes: 16 * 1024 ** 3, maxRatio: 200 };
/** Below this size a high ratio is harmless. */
const RATIO_FREE_BYTES = 1024 * 1024;

/**
 * Reads the files of a zip in place. The whole directory is checked first, before any content is read.
 * @throws INVALID_BUNDLE naming the zip or the file in it: not a zip, truncated, encrypted, a symbolic link, a name that leaves
 * the zip or occurs twice, more than `limits` allow.
 */
export async function openZipSource(path: string, signal: AbortSignal, limits: ZipLimits = ZIP_LIMITS): Promise<BundleSource> {
  const name = basename(path);
  const reader = await openReader(path, name);
  try {
    const entries = await readZipDirectory(reader, limits.maxEntries, signal);
    checkEntries(name, entries, limits);
    return new ZipSource(name, reader, entries);
  } catch (error) {
    await reader.close();
    throw error;
  }
}

class ZipSource implements BundleSource {
  readonly name: string;
  readonly #reader: FileReader;
  readonly #entries: ReadonlyMap<string, ZipEntry>;
  #cursor: { readonly path: string; readonly cursor: InflateCursor } | undefined;

  constructor(name: string, reader: FileReader, entries: readonly ZipEntry[]) {
    this.name = name;
    this.#reader = reader;
    this.#entries = new Map(entries.map((entry) => [entry.name, entry]));
  }

  list(): Promise<readonly SourceFile[]> {
    const files = [...this.#entries.values()].map((entry) => ({ path: entry.name, sizeBytes: entry.sizeBytes }));
    return Promise.resolve(files.toSorted((a, b) => (a.path < b.path ? -1 : 1)));
  }

  async readRange(path: string, offsetBytes: number, lengthBytes: number, signal: AbortSignal): Promise<Uint8Array> {
    throwIfAborted(signal);
    const entry = this.#entries.get(path);
    if (entry === undefined) {
      throw invalidBundle(this.name, `has no file ${quote(path)}`);
    }
    checkRange(path, entry.sizeBytes, offsetBytes, lengthBytes);
    return this.#read(entry, offsetBytes, lengthBytes);
  }

  isSeekable(path: string): boolean {
    return this.#entries.get(path)?.method === 'stored';
  }

  close(): Promise<void> {
    return this.#reader.close();
  }

  async #read(entry: ZipEntry, offsetBytes: number, lengthBytes: number): Promise<Uint8Array> {
    switch (entry.method) {
      case 'stored': {
        const bytes = await this.#reader.read((await entry.locate()) + offsetBytes, lengthBytes);
        if (lengthBytes === entry.sizeBytes) {
          checkCrc32(entry, crc32Of(bytes), entry.name);
        }
        return bytes;
      }
      case 'deflated':
        return (await this.#cursorAt(entry, offsetBytes)).read(offsetBytes, lengthBytes);
      case 'other':
        throw invalidBundle(entry.name, 'compressed by another method than "deflate"');
    }
  }

  /** A deflated file can only be read forwards: the last cursor serves where it has not passed `offsetBytes`. */
  async #cursorAt(entry: ZipEntry, offsetBytes: number): Promise<InflateCursor> {
    const last = this.#cursor;
    if (last?.path === entry.name && last.cursor.offsetBytes <= offsetBytes) {
      return last.cursor;
    }
    const cursor = new InflateCursor(this.#reader, entry, await entry.locate());
    this.#cursor = { path: entry.name, cursor };
    return cursor;
  }
}

function checkEntries(name: string, entries: readonly ZipEntry[], limits: ZipLimits): void {
  let totalBytes = 0;
  for (const entry of entries) {
    checkSourcePath(name, entry.name);
    if (entry.isSymbolicLink) {
      throw invalidBundle(name, `${quote(entry.name)} is a symbolic link`);
    }
    if (entry.isEncrypted) {
      throw invalidBundle(name, `${quote(entry.name)} is encrypted`);
    }
    totalBytes += entry.sizeBytes;
    const ratio = entry.sizeBytes / Math.max(1, entry.storedBytes);
    if (entry.sizeBytes > RATIO_FREE_BYTES && ratio > limits.maxRatio) {
      throw invalidBundle(
        name,
        `${quote(entry.name)} would unpack to ${Math.round(ratio)} times its size, at most ${limits.maxRatio}`,
      );
    }
  }
  if (totalBytes > limits.maxTotalBytes) {
    throw invalidBundle(name, `would unpack to ${totalBytes} bytes, at most ${limits.maxTotalBytes}`);
  }
}

interface FileReader extends ByteReader {
  close(): Promise<void>;
}

async function openReader(path: string, file: string): Promise<FileReader> {
  let handle: FileHandle;
  try {
    handle = await open(path, 'r');
  } catch (cause) {
    throw invalidBundle(file, 'cannot be opened', cause);
  }
  const { size } = await handle.stat();
  return {
    file,
    sizeBytes: size,
    read: async (offsetBytes, lengthBytes) => {
      checkRange(file, size, offsetBytes, lengthBytes);
      const bytes = Buffer.alloc(lengthBytes);
      for (let done = 0; done < lengthBytes; ) {
        const { bytesRead } = await handle.read(bytes, done, lengthBytes - done, offsetBytes + done);
        if (bytesRead === 0) {
          throw invalidBundle(file, `ended at byte ${offsetBytes + done}, it had ${size} when opened`);
        }
        done += bytesRead;
      }
      return bytes;
    },
    close: () => handle.close(),
  };
}
