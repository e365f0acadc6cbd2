import type { Dirent } from 'node:fs';
import { readdir, stat } from 'node:fs/promises';
import { basename, extname, join, resolve } from 'node:path';
import { ServiceError } from '../../proto/wire/errors.ts';
import { unreadable } from './file-errors.ts';

/** Pictures that this command line draws lie among the images often enough. */
export const OVERLAY_SUFFIX = '.overlay.png';

const EXTENSIONS = new Set(['.jpg', '.jpeg', '.png', '.tif', '.tiff', '.webp']);

/** An image to predict on, or a path that is none. */
export type Input =
  | { readonly path: string; readonly problem?: undefined }
  | { readonly path: string; readonly problem: ServiceError };

export interface FoundImages {
  readonly inputs: readonly Input[];
  /** Files in the folders that are no images, by their names. */
  readonly otherFileCount: number;
  /** Folders in the folders that were not looked into. */
  readonly folderCount: number;
}

export interface ImageSearch {
  /** Folders within folders too. */
  readonly isRecursive: boolean;
  /** Folders that are never looked into: where this run writes. */
  readonly except: readonly string[];
}

/**
 * The images that the arguments name: files as they are, folders as the images in them, in the order a person expects ("2.jpg"
 * before "10.jpg"; files before what is in sub-folders). A file named twice comes once. What is missing or empty is among the
 * answers with its problem, so that it can be reported beside the other failures.
 */
export async function findImages(
  paths: readonly string[],
  search: ImageSearch = { isRecursive: false, except: [] },
): Promise<FoundImages> {
  const except = new Set(search.except.map((path) => resolve(path)));
  const found: Input[] = [];
  const counts = { otherFileCount: 0, folderCount: 0 };
  for (const path of paths) {
    found.push(...(await inputsAt(path, { ...search, except }, counts)));
  }
  const seen = new Set<string>();
  const inputs = found.filter(({ path }) => {
    const key = resolve(path);
    return !seen.has(key) && seen.add(key) !== undefined;
  });
  return { inputs, ...counts };
}

interface Walk {
  readonly isRecursive: boolean;
  readonly except: ReadonlySet<string>;
}

type Counts = { -readonly [K in 'otherFileCount' | 'folderCount']: FoundImages[K] };

async function inputsAt(path: string, walk: Walk, counts: Counts): Promise<Input[]> {
  try {
    if (!(await stat(path)).isDirectory()) {
      return [{ path }];
    }
    const before = counts.folderCount;
    const found = await imagesIn(path, walk, counts);
    if (found.length > 0) {
      return found;
    }
    const hint = counts.folderCount > before ? '; --recursive looks into the folders in it' : '';
    return [{ path, problem: noImages(`no images (${[...EXTENSIONS].join(', ')}) in folder ${path}${hint}`) }];
  } catch (error) {
    return [{ path, problem: unreadable(path, error) }];
  }
}

async function imagesIn(folder: string, walk: Walk, counts: Counts): Promise<Input[]> {
  const entries = (await readdir(folder, { withFileTypes: true }))
    // What other systems leave beside images begins with a dot.
    .filter(({ name }) => !name.startsWith('.'))
    .toSorted((a, b) => compareNames(a.name, b.name));
  const images = entries.filter((entry) => isImage(entry));
  const folders = entries.filter((entry) => entry.isDirectory() && !walk.except.has(resolve(folder, entry.name)));
  counts.otherFileCount += entries.filter((entry) => !entry.isDirectory() && !isImage(entry)).length;
  const found: Input[] = images.map(({ name }) => ({ path: join(folder, name) }));
  if (!walk.isRecursive) {
    counts.folderCount += folders.length;
    return found;
  }
  for (const { name } of folders) {
    const path = join(folder, name);
    try {
      found.push(...(await imagesIn(path, walk, counts)));
    } catch (error) {
      found.push({ path, problem: unreadable(path, error) });
    }
  }
  return found;
}

/** Opening a pipe or a device that lies among the images would wait for ever. A folder behind a link may be one we come from. */
function isImage(entry: Dirent): boolean {
  const { name } = entry;
  return (
    (entry.isFile() || entry.isSymbolicLink()) &&
    EXTENSIONS.has(extname(name).toLowerCase()) &&
    !basename(name).toLowerCase().endsWith(OVERLAY_SUFFIX)
  );
}

const collator = new Intl.Collator('en', { numeric: true });

function compareNames(a: string, b: string): number {
  return collator.compare(a, b) || (a < b ? -1 : 1);
}

function noImages(message: string): ServiceError {
  return new ServiceError('invalid-argument', 'UNREADABLE_FILE', message);
}
