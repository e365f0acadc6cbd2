import { randomUUID } from 'node:crypto';
import { readdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isAbsent } from './fs-errors.ts';
import { digestOfPartial, type Layout } from './layout.ts';

/**
 * Removes what a process that was killed left among the partial uploads and nobody goes on with: folders in the middle of their
 * removal, and uploads of blobs that were published. Uploads that can be resumed stay. Other processes may be at work on the
 * folder: whoever uploads a blob that was published finds it published. Gives the names of what went. Errors are Node's own.
 */
export async function sweepPartials(layout: Layout): Promise<string[]> {
  const removed: string[] = [];
  for (const name of await readdir(layout.partials)) {
    const path = join(layout.partials, name);
    if (name.endsWith('.trash')) {
      await rm(path, { recursive: true, force: true });
      removed.push(name);
    } else if (await isPublished(layout, name)) {
      await removeFolder(path, layout.partials);
      removed.push(name);
    }
  }
  return removed;
}

async function isPublished(layout: Layout, name: string): Promise<boolean> {
  const digest = digestOfPartial(name);
  return digest !== undefined && exists(layout.blob(digest));
}

/** In one step out of sight of other processes, which may begin a new upload at its place at once. */
export async function removeFolder(path: string, partials: string): Promise<void> {
  const trash = join(partials, `${randomUUID()}.trash`);
  try {
    await rename(path, trash);
  } catch (error) {
    if (isAbsent(error)) {
      return;
    }
    throw error;
  }
  await rm(trash, { recursive: true, force: true });
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (isAbsent(error)) {
      return false;
    }
    throw error;
  }
}
