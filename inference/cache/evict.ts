import { rm } from 'node:fs/promises';
import type { BlobRef, Digest } from '../../proto/wire/digest.ts';
import { type Disk, renameIfThere } from './disk.ts';
import type { OnCacheEvent } from './events.ts';
import { type BlobEntry, type Inventory, type LeftoverEntry, sumOf, takeInventory, usedBytes } from './inventory.ts';
import type { CacheLayout } from './layout.ts';
import type { Owners } from './owners.ts';
import type { Pins } from './pins.ts';
import type { BlobVerifier } from './verify.ts';

export interface EvictDeps {
  readonly layout: CacheLayout;
  readonly owners: Owners;
  readonly pins: Pins;
  readonly verifier: BlobVerifier;
  readonly onEvent: OnCacheEvent;
  readonly disk: Disk;
}

export interface RoomWanted {
  /** What the folder may hold; 0: as much as the volume does. */
  readonly maxBytes: number;
  /** What is about to be written. */
  readonly incomingBytes: number;
  /** Whether a call of this process is at work on the blob: it stays, as if pinned. */
  isBusy(digest: Digest): boolean;
}

/**
 * Removes what can be spared until the folder fits its budget with `incomingBytes` more, and until the volume has them free:
 * first what is in quarantine, then downloads that nobody goes on with, then blobs, the longest unused first. Never a pinned
 * one, of this process or of another that shares the folder. An unlimited budget still makes room on a full volume: the blob that
 * is wanted now is worth more than one that nobody holds. Where that is not enough the budget is exceeded, which is an event: it
 * says what may be kept, not what may be served. But where the volume cannot hold the blob whatever goes, everything stays.
 * @throws Node's own errors.
 */
export async function makeRoom(room: RoomWanted, deps: EvictDeps): Promise<void> {
  const freeBytes = room.incomingBytes > 0 ? await deps.disk.freeBytes(deps.layout.root) : Number.POSITIVE_INFINITY;
  if (room.maxBytes === 0 && freeBytes >= room.incomingBytes) {
    return;
  }
  const inventory = await takeInventory(deps.layout);
  const foreign = await deps.pins.ofOthers();
  const isHeld = (digest: Digest): boolean => room.isBusy(digest) || deps.pins.has(digest) || foreign.has(digest);
  const spare = await spareFiles(inventory, room, deps);
  const shortBytes = room.incomingBytes - freeBytes;
  if (shortBytes > sumOf(spare) + sumOf(inventory.blobs.filter(({ digest }) => !isHeld(digest)))) {
    return;
  }
  const excessBytes = room.maxBytes === 0 ? 0 : usedBytes(inventory) + room.incomingBytes - room.maxBytes;
  let toFree = Math.max(excessBytes, shortBytes);
  for (const { path, sizeBytes } of spare) {
    if (toFree <= 0) {
      return;
    }
    await rm(path, { force: true, recursive: true });
    deps.onEvent({ kind: 'leftover-removed', path });
    toFree -= sizeBytes;
  }
  const freed = await evict(chooseVictims(inventory.blobs, toFree, isHeld), room, deps);
  if (freed < toFree && room.maxBytes > 0) {
    deps.onEvent({ kind: 'over-budget', excessBytes: toFree - freed, maxBytes: room.maxBytes });
  }
}

/** The longest unused blobs, not held, that together free `toFreeBytes`; all there are where these do not suffice. */
export function chooseVictims(
  blobs: readonly BlobEntry[],
  toFreeBytes: number,
  isHeld: (digest: Digest) => boolean,
): BlobEntry[] {
  const victims: BlobEntry[] = [];
  let freed = 0;
  for (const blob of blobs.toSorted((left, right) => left.lastUseMs - right.lastUseMs)) {
    if (freed >= toFreeBytes) {
      break;
    }
    if (!isHeld(blob.digest)) {
      victims.push(blob);
      freed += blob.sizeBytes;
    }
  }
  return victims;
}

/** Files that are no blobs and that nobody is at work on. */
async function spareFiles(inventory: Inventory, room: RoomWanted, { owners }: EvictDeps): Promise<LeftoverEntry[]> {
  // What was just set aside of a blob that is being fetched again may hold chunks of it.
  const spare: LeftoverEntry[] = inventory.quarantined
    .filter(({ digest }) => digest === undefined || !room.isBusy(digest))
    .sort((left, right) => left.modifiedMs - right.modifiedMs);
  for (const partial of inventory.partials) {
    const { owner, ref } = partial.name;
    const isAtWork = owner === owners.self ? room.isBusy(ref.digest) : await owners.isAlive(owner, partial.modifiedMs);
    // A dead owner's half of the blob that is wanted now is about to be adopted.
    if (!isAtWork && !room.isBusy(ref.digest)) {
      spare.push(partial);
    }
  }
  return spare;
}

/**
 * Takes the victims' names away, asks once more who is pinned, gives those their names back and removes the rest. Another server
 * pins before it looks: so it either finds the file absent and fetches it, or its pin is seen here and the file comes back. Returns the bytes freed.
 */
async function evict(victims: readonly BlobEntry[], room: RoomWanted, deps: EvictDeps): Promise<number> {
  let freed = 0;
  const moved: BlobEntry[] = [];
  for (const victim of victims) {
    deps.verifier.forget(victim.digest);
    if (await renameIfThere(deps.layout.blob(victim.digest), asidePath(victim, deps))) {
      moved.push(victim);
    }
  }
  const foreign = moved.length === 0 ? new Set<Digest>() : await deps.pins.ofOthers();
  for (const victim of moved) {
    if (room.isBusy(victim.digest) || deps.pins.has(victim.digest) || foreign.has(victim.digest)) {
      await renameIfThere(asidePath(victim, deps), deps.layout.blob(victim.digest));
    } else {
      await rm(asidePath(victim, deps), { force: true, recursive: true });
      deps.onEvent({ kind: 'blob-evicted', digest: victim.digest, sizeBytes: victim.sizeBytes });
      freed += victim.sizeBytes;
    }
  }
  return freed;
}

function asidePath(ref: BlobRef, { layout, owners }: EvictDeps): string {
  return layout.partial(ref, owners.self, 'evicting');
}
