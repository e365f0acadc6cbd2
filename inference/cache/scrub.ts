import type { Clock } from '../../infra/process/clock.ts';
import type { Digest } from '../../proto/wire/digest.ts';
import { throwIfAborted } from '../../proto/wire/errors.ts';
import { discard } from './disk.ts';
import type { OnCacheEvent } from './events.ts';
import { type Inventory, type LeftoverEntry, type PartialEntry, takeInventory } from './inventory.ts';
import type { CacheLayout } from './layout.ts';
import type { Owners } from './owners.ts';
import type { Pins } from './pins.ts';
import type { BlobVerifier, Presence } from './verify.ts';

/** What a start found, for the log. */
export interface ScrubReport {
  readonly blobs: number;
  readonly blobBytes: number;
  /** Downloads that dead owners left and that can be gone on with. */
  readonly resumable: number;
  readonly removed: number;
  readonly quarantined: number;
  readonly unexpected: number;
}

interface ScrubDeps {
  readonly layout: CacheLayout;
  readonly owners: Owners;
  readonly pins: Pins;
  readonly clock: Clock;
  readonly onEvent: OnCacheEvent;
}

/** A download that nobody went on with for this long is of a version that nobody wants. */
const PARTIAL_KEPT_MS = 7 * 24 * 3600 * 1000;
/** A document of state is written within seconds: what is older than this is left over, whoever wrote it. */
const TEMPORARY_KEPT_MS = 3600 * 1000;
/** Long enough to look at what went wrong. */
const QUARANTINE_KEPT_MS = 14 * 24 * 3600 * 1000;

/**
 * Puts the folder in order at start, without reading a blob: each is hashed at its first use. Of dead owners' downloads the
 * newest per blob stays, to be gone on with; other servers' files, and files of foreign names, are left alone.
 * @throws Node's own errors when the folder cannot be listed.
 */
export async function scrubAtStart(deps: ScrubDeps): Promise<ScrubReport> {
  const { layout, pins, onEvent } = deps;
  await pins.sweep();
  const inventory = await takeInventory(layout);
  const { resumable, stale } = await sortPartials(inventory, deps);
  const isOlder =
    (keptMs: number) =>
    ({ modifiedMs }: { readonly modifiedMs: number }): boolean =>
      deps.clock.nowMs() - modifiedMs > keptMs;
  const old = inventory.quarantined.filter(isOlder(QUARANTINE_KEPT_MS));
  const unfinished: LeftoverEntry[] = [];
  for (const temporary of inventory.temporaries) {
    const { owner, modifiedMs } = temporary;
    const isDead = owner !== undefined && !(await deps.owners.isAlive(owner, modifiedMs));
    if (isDead || isOlder(TEMPORARY_KEPT_MS)(temporary)) {
      unfinished.push(temporary);
    }
  }
  const removed = [...stale, ...old, ...unfinished];
  for (const { path } of removed) {
    await discard(path, onEvent);
    onEvent({ kind: 'leftover-removed', path });
  }
  for (const path of inventory.unexpected) {
    onEvent({ kind: 'unexpected-file', path });
  }
  return {
    blobs: inventory.blobs.length,
    blobBytes: inventory.blobs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    resumable,
    removed: removed.length,
    quarantined: inventory.quarantined.length - old.length,
    unexpected: inventory.unexpected.length,
  };
}

/** Hashes every blob again, one at a time, whatever was verified before; corrupt ones go to quarantine. */
export async function* rehashBlobs(
  layout: CacheLayout,
  verifier: BlobVerifier,
  signal: AbortSignal,
): AsyncGenerator<{ readonly digest: Digest; readonly presence: Presence }> {
  for (const { digest } of (await takeInventory(layout)).blobs) {
    throwIfAborted(signal);
    yield { digest, presence: await verifier.recheck(digest, signal) };
  }
}

async function sortPartials(inventory: Inventory, deps: ScrubDeps): Promise<{ resumable: number; stale: PartialEntry[] }> {
  const dead: PartialEntry[] = [];
  for (const partial of inventory.partials) {
    if (!(await deps.owners.isAlive(partial.name.owner, partial.modifiedMs))) {
      dead.push(partial);
    }
  }
  const journals = new Set(dead.filter(({ name }) => name.part === 'journal').map(keyOf));
  const published = new Set(inventory.blobs.map(({ digest }) => digest));
  const newest = new Map<Digest, PartialEntry>();
  for (const partial of dead) {
    const { ref, part } = partial.name;
    const isUseful = part === 'data' && journals.has(keyOf(partial)) && !published.has(ref.digest);
    const isYoung = deps.clock.nowMs() - partial.modifiedMs < PARTIAL_KEPT_MS;
    if (isUseful && isYoung && partial.modifiedMs > (newest.get(ref.digest)?.modifiedMs ?? Number.NEGATIVE_INFINITY)) {
      newest.set(ref.digest, partial);
    }
  }
  const kept = new Set([...newest.values()].map(keyOf));
  const isKept = (partial: PartialEntry): boolean =>
    (partial.name.part === 'data' || partial.name.part === 'journal') && kept.has(keyOf(partial));
  return { resumable: newest.size, stale: dead.filter((partial) => !isKept(partial)) };
}

function keyOf({ name }: PartialEntry): string {
  return `${name.ref.digest} ${name.ref.sizeBytes} ${name.owner}`;
}
