import type { BlobRef, Digest } from '../../proto/wire/digest.ts';
import { isServiceError } from '../../proto/wire/errors.ts';
import { RequestCheck } from '../model/request-check.ts';
import type { BlobStore, ChunkedBlob, SetAsideBlob } from './blob-store.ts';
import type { OpenStaging } from './catalog.ts';
import { declaredBlobs, readManifest } from './declared-blobs.ts';
import type { RegistryDeps } from './dependencies.ts';

/** Long enough for a publisher who comes back after a week-end. */
const DEFAULT_GRACE_SECONDS = 7 * 24 * 3600;
/** Before each so many stagings the open ones are looked at again. */
const ENDED_TOGETHER = 20;
/** Looking again is a walk over all stagings, so many blobs share one; and they are out of sight until then, so not too many. */
const BATCH = 200;
/** How many blobs a report names. */
const MAX_NAMED = 1000;
/** For putting back what a run that fails has set aside, although its caller may have left. */
const RESTORE_LIMIT_MS = 30_000;

export interface CollectGarbageCommand {
  readonly isDryRun: boolean;
  /** Unset: a week. */
  readonly graceSeconds: number | undefined;
}

interface Aside {
  readonly blob: BlobRef;
  readonly copy: SetAsideBlob;
}

export interface CollectedGarbage {
  readonly stagingCount: number;
  readonly blobCount: number;
  readonly blobBytes: number;
  /** The first of them. */
  readonly blobs: readonly BlobRef[];
}

/**
 * Ends abandoned stagings, then removes old blobs that nothing refers to.
 *
 * Whoever will need a blob is in the catalog before looking whether it is stored: as a version, or as a staging. So a blob is set
 * aside first and the catalog is asked again: what somebody had come to need by then is restored, and who comes later finds it
 * absent and uploads it. A finalization that verified the blob before it was set aside has its staging or its version there.
 * Whoever needs a blob that is out of sight restores it, so a run that is killed takes nothing with it.
 * A staging is ended in a transaction that its finalization loses or wins.
 * @throws ServiceError invalid-argument INVALID_REQUEST; failed-precondition BUCKET_NOT_VERSIONED.
 */
export async function collectGarbage(
  deps: RegistryDeps,
  { isDryRun, graceSeconds = DEFAULT_GRACE_SECONDS }: CollectGarbageCommand,
  signal: AbortSignal,
): Promise<CollectedGarbage> {
  const { catalog, blobs, clock } = deps;
  const check = new RequestCheck();
  if (!(Number.isInteger(graceSeconds) && graceSeconds >= 0)) {
    check.violation('grace_seconds', `expected a number of seconds, found ${graceSeconds}`);
  }
  check.throwIfBad();
  const beforeMs = clock.nowMs() - graceSeconds * 1000;
  const report = new Report();
  if (!isDryRun) {
    // Before anything ends: a run that cannot remove anything leaves all as it is.
    await blobs.checkRestorable(signal);
    // A run that was cut off left it out of sight; this one decides anew. Where another one is under way its garbage stays for later.
    for (const { digest } of await blobs.listSetAside(signal)) {
      await blobs.restore(digest, signal);
    }
  }
  const open = await catalog.openStagings(signal);
  const isAbandoned = ({ createTimeMs }: OpenStaging): boolean => createTimeMs <= beforeMs;
  const needed = await neededBy(
    deps,
    open.filter((staging) => !isAbandoned(staging)),
    signal,
  );
  const abandoned = open.filter(isAbandoned);
  for (let at = 0; at < abandoned.length; at += ENDED_TOGETHER) {
    const some = abandoned.slice(at, at + ENDED_TOGETHER);
    report.stagingCount += isDryRun ? some.length : await end(deps, some, isAbandoned, signal);
  }
  let batch: BlobRef[] = [];
  for await (const { digest, sizeBytes, storeTimeMs } of blobs.list(signal)) {
    const blob = { digest, sizeBytes };
    if (storeTimeMs > beforeMs || needed.has(digest) || (await catalog.isReferenced(blob, signal))) {
      continue;
    }
    if (isDryRun) {
      report.add(blob);
      continue;
    }
    batch.push(blob);
    if (batch.length === BATCH) {
      await settle(deps, batch, report, signal);
      batch = [];
    }
  }
  await settle(deps, batch, report, signal);
  return report;
}

/** Ends stagings and what of their uploads nobody else goes on with. Gives the number of those that were not finalized before. */
async function end(
  deps: RegistryDeps,
  abandoned: readonly OpenStaging[],
  isAbandoned: (staging: OpenStaging) => boolean,
  signal: AbortSignal,
): Promise<number> {
  const { catalog, blobs } = deps;
  const declared: ChunkedBlob[][] = [];
  for (const { manifest } of abandoned) {
    declared.push([...(await declaredBy(deps, manifest, signal))]);
  }
  // As late as can be: a publisher who comes back after long stages anew, and was told which chunks are held.
  const open = await catalog.openStagings(signal);
  const needed = await neededBy(
    deps,
    open.filter((staging) => !isAbandoned(staging)),
    signal,
  );
  let ended = 0;
  for (const [index, { id }] of abandoned.entries()) {
    // Before the staging, which alone says what they are.
    for (const blob of declared[index] ?? []) {
      if (!needed.has(blob.digest)) {
        await blobs.discardUpload(blob, signal);
      }
    }
    ended += (await catalog.removeStaging(id, signal)) ? 1 : 0;
  }
  return ended;
}

/** Sets blobs aside, looks again, and restores or discards each. */
async function settle(deps: RegistryDeps, batch: readonly BlobRef[], report: Report, signal: AbortSignal): Promise<void> {
  if (batch.length === 0) {
    return;
  }
  const { catalog, blobs } = deps;
  const waiting = new Set(batch);
  const aside: Aside[] = [];
  try {
    for (const blob of batch) {
      const copy = await blobs.setAside(blob.digest, signal);
      if (copy !== undefined) {
        aside.push({ blob, copy });
      }
    }
    // In this order: a staging that is finalized in between has become a version by then.
    const stagings = await catalog.openStagings(signal);
    const needed = await neededBy(deps, stagings, signal);
    for (const { blob, copy } of aside) {
      if (needed.has(blob.digest) || (await catalog.isReferenced(blob, signal))) {
        await blobs.restore(blob.digest, signal);
        await blobs.discard(copy, signal);
      } else {
        await blobs.discard(copy, signal);
        report.add(blob);
      }
      waiting.delete(blob);
    }
  } catch (error) {
    const limit = AbortSignal.timeout(RESTORE_LIMIT_MS);
    // What cannot be restored now stays remembered: the next run settles it. The first failure is the one to tell.
    await Promise.allSettled([...waiting].map((blob) => putBack(blobs, blob, aside, limit)));
    throw error;
  }
}

async function putBack(blobs: BlobStore, blob: BlobRef, aside: readonly Aside[], signal: AbortSignal): Promise<void> {
  await blobs.restore(blob.digest, signal);
  for (const { copy } of aside.filter((one) => one.blob === blob)) {
    await blobs.discard(copy, signal);
  }
}

/** The blobs that stagings refer to, their manifests among them. */
async function neededBy(deps: RegistryDeps, stagings: readonly OpenStaging[], signal: AbortSignal): Promise<ReadonlySet<Digest>> {
  const needed = new Set<Digest>();
  // Not those needed: one staging may declare another one's manifest as a file of its own.
  const read = new Set<Digest>();
  for (const { manifest } of stagings) {
    if (read.has(manifest.digest)) {
      continue;
    }
    read.add(manifest.digest);
    needed.add(manifest.digest);
    for (const { digest } of await declaredBy(deps, manifest, signal)) {
      needed.add(digest);
    }
  }
  return needed;
}

async function declaredBy({ blobs }: RegistryDeps, manifest: BlobRef, signal: AbortSignal): Promise<Iterable<ChunkedBlob>> {
  try {
    return declaredBlobs(await readManifest(blobs, manifest, signal)).values();
  } catch (error) {
    if (isServiceError(error, 'not-found') || isServiceError(error, 'data-loss')) {
      // Nothing can be uploaded for or made of such a staging, until its manifest is staged again: which looks at every blob anew.
      return [];
    }
    throw error;
  }
}

class Report implements CollectedGarbage {
  stagingCount = 0;
  blobCount = 0;
  blobBytes = 0;
  readonly blobs: BlobRef[] = [];

  add(blob: BlobRef): void {
    this.blobCount++;
    this.blobBytes += blob.sizeBytes;
    if (this.blobs.length < MAX_NAMED) {
      this.blobs.push(blob);
    }
  }
}
