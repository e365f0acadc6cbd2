import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { asDigest, type Digest } from '../../../proto/wire/digest.ts';
import { throwIfAborted } from '../../../proto/wire/errors.ts';
import type { SetAsideBlob, StoredBlob } from '../../release/blob-store.ts';
import { isAbsent, translated } from './fs-errors.ts';
import { type Layout, syncFolder } from './layout.ts';

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

export async function restore(layout: Layout, digest: Digest): Promise<void> {
  const target = layout.blob(digest);
  for (const copy of await listSetAside(layout)) {
    // Over one that was stored meanwhile: it has the same content.
    if (copy.digest === digest && (await move(layout.aside(copy), target))) {
      await syncFolder(dirname(target));
    }
  }
}

export async function discard(layout: Layout, copy: SetAsideBlob): Promise<void> {
  await rm(layout.aside(copy), { force: true });
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
