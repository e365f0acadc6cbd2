import { randomUUID } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { link, mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { asDigest, type Digest } from '../../../proto/wire/digest.ts';
import { throwIfAborted } from '../../../proto/wire/errors.ts';
import type { SetAsideBlob, StoredBlob } from '../../release/blob-store.ts';
import { codeOf, isAbsent, translated } from './fs-errors.ts';
import { type Layout, syncFolder } from './layout.ts';

const LOOKS = 3;

export async function* listBlobs(layout: Layout, signal: AbortSignal): AsyncGenerator<StoredBlob> {
  for (const part of await namesIn(layout.blobs)) {
    for (const digest of digestsOf(await namesIn(join(layout.blobs, part)))) {
      throwIfAborted(signal);
      const found = await translated(() => unlessAbsent(stat(layout.blob(digest))));
      if (found !== undefined) {
        yield { digest, sizeBytes: found.size, storeTimeMs: Math.floor(found.mtimeMs) };
      }
    }
  }
}

/** One rename: at no moment is the blob in neither place. */
export async function setAside(layout: Layout, digest: Digest): Promise<SetAsideBlob | undefined> {
  const copy = { digest, id: randomUUID() };
  await mkdir(layout.setAside, { recursive: true });
  return (await move(layout.blob(digest), layout.aside(copy))) ? copy : undefined;
}

export async function listSetAside(layout: Layout): Promise<SetAsideBlob[]> {
  const copies: SetAsideBlob[] = [];
  for (const name of await namesIn(layout.setAside)) {
    const [hex = '', id = ''] = name.split('.');
    const digest = asDigest(`sha256:${hex}`);
    if (digest !== undefined) {
      copies.push({ digest, id });
    }
  }
  return copies;
}

export async function restore(layout: Layout, digest: Digest): Promise<boolean> {
  // A file that others move to and fro is in one of two places, and may be missed in both.
  for (let look = 0; look < LOOKS; look++) {
    const copies = (await listSetAside(layout)).filter((copy) => copy.digest === digest);
    for (const copy of copies) {
      await putBack(layout, copy);
    }
    if (copies.length > 0 || (await unlessAbsent(stat(layout.blob(digest)))) !== undefined) {
      return true;
    }
  }
  return false;
}

/**
 * Which file that is. Numbers of removed files are given out again, so the times belong to it; those that renaming and linking
 * leave alone.
 */
export function identityOf({ ino, birthtimeNs, mtimeNs }: BigIntStats): string {
  return `${ino} ${birthtimeNs} ${mtimeNs}`;
}

/** A name can only be removed whatever it stands for by then, so the file is taken out of sight before it is looked at again. */
export async function deleteFile(layout: Layout, digest: Digest, identity: string): Promise<boolean> {
  const copy = await setAside(layout, digest);
  if (copy === undefined) {
    return false;
  }
  // Absent where others restored it in between; they need it, and will verify it.
  const found = await unlessAbsent(stat(layout.aside(copy), { bigint: true }));
  if (found !== undefined && identityOf(found) === identity) {
    await discard(layout, copy);
    return true;
  }
  await putBack(layout, copy);
  return false;
}

export async function discard(layout: Layout, copy: SetAsideBlob): Promise<void> {
  await rm(layout.aside(copy), { force: true });
}

/** One that was stored meanwhile stays: it was verified later. */
async function putBack(layout: Layout, copy: SetAsideBlob): Promise<void> {
  const target = layout.blob(copy.digest);
  try {
    await link(layout.aside(copy), target);
    await syncFolder(dirname(target));
  } catch (error) {
    if (isAbsent(error)) {
      return;
    }
    if (codeOf(error) !== 'EEXIST') {
      throw error;
    }
  }
  await discard(layout, copy);
}

async function move(from: string, to: string): Promise<boolean> {
  return (await unlessAbsent(rename(from, to).then(() => true))) ?? false;
}

async function namesIn(folder: string): Promise<string[]> {
  return (await translated(() => unlessAbsent(readdir(folder)))) ?? [];
}

async function unlessAbsent<T>(action: Promise<T>): Promise<T | undefined> {
  try {
    return await action;
  } catch (error) {
    if (isAbsent(error)) {
      return undefined;
    }
    throw error;
  }
}

function digestsOf(names: readonly string[]): Digest[] {
  return names.map((name) => asDigest(`sha256:${name}`)).filter((digest) => digest !== undefined);
}
