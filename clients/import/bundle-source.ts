import { MESSAGE_BYTES } from '../../proto/wire/chunks.ts';
import { invalidBundle, quote } from './bundle-error.ts';

export interface SourceFile {
  /** Relative, forward slashes, no empty, "." or ".." segment. */
  readonly path: string;
  readonly sizeBytes: number;
}

/**
 * Where the files of a bundle are read from: a folder, a zip. Nothing is written, and no path that was not listed is read.
 * Failures of the content are invalid-argument INVALID_BUNDLE naming the file; an aborted signal ends every method.
 */
export interface BundleSource {
  /** What to call it in errors, and the last resort for a model's name: the folder's or zip's own name. */
  readonly name: string;
  /** Every regular file, in order of path. */
  list(signal: AbortSignal): Promise<readonly SourceFile[]>;
  /**
   * Exactly these bytes of a listed file; ranges outside it are an error. Cheapest in ascending order: a compressed file is
   * read through from its start each time that a range lies before the last one.
   */
  readRange(path: string, offsetBytes: number, lengthBytes: number, signal: AbortSignal): Promise<Uint8Array>;
  /** Whether a range costs no more than its bytes, wherever the last one was. */
  isSeekable(path: string): boolean;
  /** Releases what was opened; to be called once, by whoever opened the source. */
  close(): Promise<void>;
}

/** Random access to the bytes of one file. */
export interface ByteReader {
  /** What to call the file in errors. */
  readonly file: string;
  readonly sizeBytes: number;
  /** Exactly these bytes, or an error. */
  read(offsetBytes: number, lengthBytes: number): Promise<Uint8Array>;
}

export function readerOf(source: BundleSource, { path, sizeBytes }: SourceFile, signal: AbortSignal): ByteReader {
  return {
    file: path,
    sizeBytes,
    read: (offsetBytes, lengthBytes) => {
      checkRange(path, sizeBytes, offsetBytes, lengthBytes);
      return source.readRange(path, offsetBytes, lengthBytes, signal);
    },
  };
}

/** The whole of a small file. @throws INVALID_BUNDLE where it holds more than `maxBytes`, before any of it is read. */
export function readWhole(source: BundleSource, file: SourceFile, maxBytes: number, signal: AbortSignal): Promise<Uint8Array> {
  if (file.sizeBytes > maxBytes) {
    throw invalidBundle(file.path, `${file.sizeBytes} bytes, at most ${maxBytes} are read`);
  }
  return source.readRange(file.path, 0, file.sizeBytes, signal);
}

/** The file piece by piece, from its start. */
export async function* readPieces(
  source: BundleSource,
  { path, sizeBytes }: SourceFile,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < sizeBytes; at += MESSAGE_BYTES) {
    yield await source.readRange(path, at, Math.min(MESSAGE_BYTES, sizeBytes - at), signal);
  }
}

/** @throws INVALID_BUNDLE for a range that is not inside the file. */
export function checkRange(path: string, sizeBytes: number, offsetBytes: number, lengthBytes: number): void {
  const isInside =
    Number.isSafeInteger(offsetBytes) &&
    Number.isSafeInteger(lengthBytes) &&
    offsetBytes >= 0 &&
    lengthBytes >= 0 &&
    offsetBytes + lengthBytes <= sizeBytes;
  if (!isInside) {
    throw invalidBundle(path, `bytes ${offsetBytes} to ${offsetBytes + lengthBytes} were asked for, it has ${sizeBytes}`);
  }
}

/** @throws INVALID_BUNDLE for a path that could leave the bundle or cannot be shown. */
export function checkSourcePath(source: string, path: string): void {
  const segments = path.split('/');
  if (
    /[\p{Cc}\\]/u.test(path) ||
    /^[A-Za-z]:/.test(path) ||
    segments.some((part) => part === '' || part === '.' || part === '..')
  ) {
    throw invalidBundle(source, `holds a file named ${quote(path)}: expected a relative path without ".."`);
  }
}
