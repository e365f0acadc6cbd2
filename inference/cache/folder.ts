import { mkdir, mkdtemp, readFile, rmdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ServiceError } from '../../proto/wire/errors.ts';
import { errorCode, isAbsent, isFull, syncFolder } from './disk.ts';
import { CACHE_TAG, CacheLayout } from './layout.ts';

/**
 * Makes the cache's folders under `root`, where missing, and sees that files can be written there. May be called again, also by
 * another server at the same time. A caller with a default to fall back on catches the error and tries the next place.
 * A full volume is no error where the folders are there: what the cache holds can still be served.
 * @throws ServiceError invalid-argument when `root` is not absolute; failed-precondition STORAGE_UNAVAILABLE naming the folder
 * and the system's reason when it cannot be made or written; resource-exhausted STORAGE_FULL when it cannot be made for want of
 * space.
 */
export async function prepareFolder(root: string): Promise<CacheLayout> {
  const layout = new CacheLayout(root);
  try {
    await makeWithParents(root);
    for (const folder of [layout.blobs, layout.partials, layout.quarantine, layout.pins, layout.state]) {
      await mkdir(folder, { recursive: true });
      await unlessFull(probe(folder));
    }
    await unlessFull(writeTag(layout));
    await syncFolder(root);
  } catch (error) {
    throw translate(error, root);
  }
  return layout;
}

/** Unlike `mkdir` with `recursive`, which tries for ever where the system answers ENOENT below a folder that exists (/proc). */
async function makeWithParents(path: string): Promise<void> {
  try {
    await unlessThere(mkdir(path));
  } catch (error) {
    if (errorCode(error) !== 'ENOENT' || dirname(path) === path) {
      throw error;
    }
    await makeWithParents(dirname(path));
    await unlessThere(mkdir(path));
  }
}

async function unlessThere(making: Promise<void>): Promise<void> {
  try {
    await making;
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') {
      throw error;
    }
  }
}

/** Permission bits do not tell (root, read-only volumes, quotas): only doing it does. */
async function probe(folder: string): Promise<void> {
  await rmdir(await mkdtemp(join(folder, '.probe-')));
}

async function writeTag(layout: CacheLayout): Promise<void> {
  try {
    if ((await readFile(layout.tag, 'utf8')).startsWith(CACHE_TAG.slice(0, CACHE_TAG.indexOf('\n')))) {
      return;
    }
  } catch (error) {
    if (!isAbsent(error)) {
      throw error;
    }
  }
  await writeFile(layout.tag, CACHE_TAG);
}

async function unlessFull(writing: Promise<void>): Promise<void> {
  try {
    await writing;
  } catch (error) {
    if (!isFull(error)) {
      throw error;
    }
  }
}

function translate(error: unknown, root: string): unknown {
  const code = errorCode(error);
  if (code === undefined) {
    return error;
  }
  return isFull(error)
    ? new ServiceError('resource-exhausted', 'STORAGE_FULL', `the volume of the cache folder ${root} is full`, { cause: error })
    : new ServiceError('failed-precondition', 'STORAGE_UNAVAILABLE', `the cache folder ${root} cannot be used: ${code}`, {
        cause: error,
      });
}
