import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { unwritable } from './file-errors.ts';

const PARTIAL = /\.[0-9a-f]{8}\.partial$/;
/** A partial file this old belongs to no run that still goes on. */
const ABANDONED_MS = 60 * 60 * 1000;

/** Where a file is written until it is whole: beside the target, under a name that no other run takes. */
export function partialOf(target: string): string {
  return `${target}.${randomBytes(4).toString('hex')}.partial`;
}

/**
 * Writes a file that is there as a whole or not at all, whenever the process is killed; makes its folder when missing.
 * @throws ServiceError failed-precondition UNWRITABLE_FILE
 */
export async function writeWholeFile(target: string, content: string | Uint8Array): Promise<void> {
  const partial = partialOf(target);
  try {
    await mkdir(dirname(target), { recursive: true });
    await writeFile(partial, content);
    await rename(partial, target);
  } catch (error) {
    // Where not even this works, the first error says why.
    await rm(partial, { force: true }).catch(() => undefined);
    throw unwritable(target, error);
  }
}

/** Removes what killed runs left in a folder. */
export async function removeAbandoned(folder: string, nowMs: number): Promise<void> {
  for (const name of (await readdir(folder)).filter((entry) => PARTIAL.test(entry))) {
    const path = join(folder, name);
    // Gone meanwhile: another run finished or removed it.
    const found = await stat(path).catch(() => undefined);
    if (found !== undefined && nowMs - found.mtimeMs > ABANDONED_MS) {
      await rm(path, { force: true });
    }
  }
}
