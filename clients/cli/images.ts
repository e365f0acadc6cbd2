import { readdir, stat } from 'node:fs/promises';
import { basename, extname, join, resolve } from 'node:path';
import { ServiceError } from '../../proto/wire/errors.ts';

const EXTENSIONS = new Set(['.jpg', '.jpeg', '.png', '.tif', '.tiff', '.webp']);

/** An image to predict on, or a path that is none. */
export type Input =
  | { readonly path: string; readonly problem?: undefined }
  | { readonly path: string; readonly problem: ServiceError };

/**
 * The images that the arguments name: files as they are, folders as the images directly in them, in the order a person expects
 * ("2.jpg" before "10.jpg"). A file named twice comes once. What is missing or empty is among the answers with its problem, so that
 * it can be reported beside the other failures.
 */
export async function findImages(paths: readonly string[]): Promise<Input[]> {
  const found: Input[] = [];
  for (const path of paths) {
    found.push(...(await inputsAt(path)));
  }
  const seen = new Set<string>();
  return found.filter(({ path }) => {
    const key = resolve(path);
    return !seen.has(key) && seen.add(key) !== undefined;
  });
}

async function inputsAt(path: string): Promise<Input[]> {
  try {
    if (!(await stat(path)).isDirectory()) {
      return [{ path }];
    }
    const entries = await readdir(path, { withFileTypes: true });
    // Opening a pipe or a device that lies among the images would wait for ever.
    const files = entries.filter((entry) => entry.isFile() || entry.isSymbolicLink());
    const names = files.filter(({ name }) => isImageName(name)).map(({ name }) => name);
    if (names.length > 0) {
      return names.toSorted(compareNames).map((name) => ({ path: join(path, name) }));
    }
    return [{ path, problem: unreadable(`no images (${[...EXTENSIONS].join(', ')}) in folder ${path}`) }];
  } catch (error) {
    return [{ path, problem: unreadable(`cannot read ${path}: ${codeOf(error)}`, error) }];
  }
}

/** Files that other systems leave beside images begin with a dot. */
function isImageName(name: string): boolean {
  return !basename(name).startsWith('.') && EXTENSIONS.has(extname(name).toLowerCase());
}

const collator = new Intl.Collator('en', { numeric: true });

function compareNames(a: string, b: string): number {
  return collator.compare(a, b) || (a < b ? -1 : 1);
}

function unreadable(message: string, cause?: unknown): ServiceError {
  return new ServiceError('invalid-argument', 'UNREADABLE_FILE', message, { cause });
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : String(error);
}
