import type { Dirent } from 'node:fs';
import { type FileHandle, open, readdir, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { throwIfAborted } from '../../../proto/wire/errors.ts';
import { invalidBundle, quote } from '../bundle-error.ts';
import { type BundleSource, checkRange, checkSourcePath, type SourceFile } from '../bundle-source.ts';

/** A bundle is a handful of files; a folder far above this was named by mistake, such as a home folder. */
const MAX_FILES = 10_000;
const MAX_DEPTH = 16;

/**
 * Reads the files of one folder, at any depth. Links to files are followed, links to folders are not.
 * @throws INVALID_BUNDLE where `path` is not a folder that can be read, or holds more than a bundle ever does.
 */
export async function openFolderSource(path: string, signal: AbortSignal): Promise<BundleSource> {
  const root = resolve(path);
  const files = await walk(root, signal);
  return new FolderSource(
    basename(root),
    root,
    files.toSorted((a, b) => (a.path < b.path ? -1 : 1)),
  );
}

class FolderSource implements BundleSource {
  readonly name: string;
  readonly #root: string;
  readonly #files: ReadonlyMap<string, SourceFile>;
  #open: { readonly path: string; readonly handle: FileHandle } | undefined;

  constructor(name: string, root: string, files: readonly SourceFile[]) {
    this.name = name;
    this.#root = root;
    this.#files = new Map(files.map((file) => [file.path, file]));
  }

  list(): Promise<readonly SourceFile[]> {
    return Promise.resolve([...this.#files.values()]);
  }

  async readRange(path: string, offsetBytes: number, lengthBytes: number, signal: AbortSignal): Promise<Uint8Array> {
    throwIfAborted(signal);
    const file = this.#files.get(path);
    if (file === undefined) {
      throw invalidBundle(this.name, `has no file ${quote(path)}`);
    }
    checkRange(path, file.sizeBytes, offsetBytes, lengthBytes);
    try {
      const handle = await this.#handle(path);
      const bytes = Buffer.alloc(lengthBytes);
      for (let done = 0; done < lengthBytes; ) {
        const { bytesRead } = await handle.read(bytes, done, lengthBytes - done, offsetBytes + done);
        if (bytesRead === 0) {
          throw invalidBundle(path, `ended at byte ${offsetBytes + done}, it had ${file.sizeBytes} when listed`);
        }
        done += bytesRead;
      }
      return bytes;
    } catch (error) {
      throw asBundleError(error, path);
    }
  }

  isSeekable(): boolean {
    return true;
  }

  async close(): Promise<void> {
    const last = this.#open;
    this.#open = undefined;
    await last?.handle.close();
  }

  /** Files are read one after the other: one handle is kept. */
  async #handle(path: string): Promise<FileHandle> {
    if (this.#open?.path !== path) {
      await this.close();
      this.#open = { path, handle: await open(join(this.#root, path), 'r') };
    }
    return this.#open.handle;
  }
}

async function walk(root: string, signal: AbortSignal): Promise<SourceFile[]> {
  const files: SourceFile[] = [];
  const waiting = [{ folder: '', depth: 0 }];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    throwIfAborted(signal);
    for (const entry of await readFolder(root, next.folder)) {
      const path = next.folder === '' ? entry.name : `${next.folder}/${entry.name}`;
      if (entry.isDirectory()) {
        waiting.push({ folder: path, depth: next.depth + 1 });
      } else if (entry.isFile() || entry.isSymbolicLink()) {
        files.push(...(await regularFile(root, path)));
      }
    }
    if (files.length + waiting.length > MAX_FILES || next.depth > MAX_DEPTH) {
      throw invalidBundle(
        basename(root),
        `holds more than ${MAX_FILES} files or nests deeper than ${MAX_DEPTH}: not a bundle's folder`,
      );
    }
  }
  return files;
}

async function readFolder(root: string, folder: string): Promise<Dirent[]> {
  try {
    return await readdir(join(root, folder), { withFileTypes: true });
  } catch (error) {
    throw asBundleError(error, folder === '' ? root : folder);
  }
}

/** The file with its size; nothing for links that lead to no file, devices, and files that have gone. */
async function regularFile(root: string, path: string): Promise<SourceFile[]> {
  checkSourcePath(basename(root), path);
  const found = await stat(join(root, path)).catch(() => undefined);
  return found?.isFile() === true ? [{ path, sizeBytes: found.size }] : [];
}

function asBundleError(error: unknown, file: string): unknown {
  const code = error instanceof Error && 'code' in error ? String(error.code) : undefined;
  return code === undefined ? error : invalidBundle(file, `cannot be read: ${code}`, error);
}
