import type { Stats } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../../proto/wire/digest.ts';
import { isAbsent } from './disk.ts';
import { type CacheLayout, digestOfName, ownerOfTemporary, type PartialName, parsePartialName } from './layout.ts';

export interface BlobEntry {
  readonly digest: Digest;
  readonly sizeBytes: number;
  readonly lastUseMs: number;
}

export interface LeftoverEntry {
  readonly path: string;
  /** On the disk: a partial file has holes. */
  readonly sizeBytes: number;
  readonly modifiedMs: number;
}

export interface QuarantineEntry extends LeftoverEntry {
  /** Undefined for a name that is none of ours. */
  readonly digest: Digest | undefined;
}

export interface TemporaryEntry extends LeftoverEntry {
  /** Undefined for a name that does not say. */
  readonly owner: string | undefined;
}

export interface PartialEntry extends LeftoverEntry {
  readonly name: PartialName;
}

/** What lies in the cache's folders, by name and size alone; `unexpected` are paths of names that are none of ours. */
export interface Inventory {
  readonly blobs: readonly BlobEntry[];
  readonly partials: readonly PartialEntry[];
  readonly quarantined: readonly QuarantineEntry[];
  /** Documents of state that were never finished. */
  readonly temporaries: readonly TemporaryEntry[];
  readonly unexpected: readonly string[];
}

/** What `Stats.blocks` counts in. */
const BLOCK_BYTES = 512;

/** Lists the cache. Files that other servers remove meanwhile are left out. @throws Node's own errors. */
export async function takeInventory(layout: CacheLayout): Promise<Inventory> {
  const unexpected: string[] = [];
  const blobs: BlobEntry[] = [];
  for (const shard of await listed(layout.blobs)) {
    if (!shard.stats.isDirectory() || !/^[0-9a-f]{2}$/.test(shard.name)) {
      unexpected.push(shard.path);
      continue;
    }
    for (const { name, path, stats } of await listed(shard.path)) {
      const digest = digestOfName(name);
      if (digest === undefined || !name.startsWith(shard.name)) {
        unexpected.push(path);
      } else {
        blobs.push({ digest, sizeBytes: stats.size, lastUseMs: stats.atimeMs });
      }
    }
  }
  const partials: PartialEntry[] = [];
  for (const entry of await listed(layout.partials)) {
    const name = parsePartialName(entry.name);
    if (name === undefined) {
      unexpected.push(entry.path);
    } else {
      partials.push({ ...leftover(entry), name });
    }
  }
  const quarantined = (await listed(layout.quarantine)).map((entry) => ({
    ...leftover(entry),
    digest: digestOfName(entry.name.split('.', 1).join('')),
  }));
  const temporaries = (await listed(layout.state))
    .filter(({ name }) => name.endsWith('.tmp'))
    .map((entry) => ({ ...leftover(entry), owner: ownerOfTemporary(entry.name) }));
  return { blobs, partials, quarantined, temporaries, unexpected };
}

export function usedBytes({ blobs, partials, quarantined }: Inventory): number {
  return sumOf([...blobs, ...partials, ...quarantined]);
}

export function sumOf(entries: readonly { readonly sizeBytes: number }[]): number {
  return entries.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

interface Listed {
  readonly name: string;
  readonly path: string;
  readonly stats: Stats;
}

function leftover({ path, stats }: Listed): LeftoverEntry {
  return { path, sizeBytes: stats.blocks * BLOCK_BYTES, modifiedMs: stats.mtimeMs };
}

async function listed(folder: string): Promise<Listed[]> {
  const entries: Listed[] = [];
  for (const name of await ifThere(readdir(folder), [])) {
    const path = join(folder, name);
    const stats = await ifThere(lstat(path), undefined);
    if (stats !== undefined) {
      entries.push({ name, path, stats });
    }
  }
  return entries;
}

async function ifThere<T, D>(reading: Promise<T>, absent: D): Promise<T | D> {
  try {
    return await reading;
  } catch (error) {
    if (isAbsent(error)) {
      return absent;
    }
    throw error;
  }
}
