import type { Digest } from '../../proto/wire/digest.ts';
import { ServiceError } from '../../proto/wire/errors.ts';
import type { Manifest } from '../../proto/wire/manifest.ts';
import type { ObjectPlace } from '../model/object-place.ts';
import { RequestCheck } from '../model/request-check.ts';
import { draftOf, type Version } from '../model/version.ts';
import type { BlobStore, ChunkedBlob } from './blob-store.ts';
import type { RequestIdentity, Staging } from './catalog.ts';
import { declaredBlobs, readManifest, requireStaging, uploadStates } from './declared-blobs.ts';
import type { RegistryDeps } from './dependencies.ts';
import { findEarlier, MAX_REQUEST_ID_LENGTH, recordOf } from './idempotency.ts';
import { throwIfDeleted } from './promote.ts';
import { lookForNeeded, restoreNeeded, verifyNeeded } from './set-aside.ts';

/** How many blobs an error names one by one. */
const MAX_NAMED = 10;

export interface FinalizeVersionCommand {
  readonly stagingId: string;
  readonly requestId: string;
}

export interface FinalizedVersion {
  readonly version: Version;
  /** False when the model already had a version with this manifest. */
  readonly isCreated: boolean;
}

/**
 * Verifies every byte of a staging once more and freezes it as the model's next version.
 * @throws ServiceError not-found STAGING_NOT_FOUND; failed-precondition BLOBS_MISSING or
 *   VERSION_DELETED (what this staging became); data-loss DIGEST_MISMATCH or
 *   SIZE_MISMATCH; invalid-argument INVALID_REQUEST or REQUEST_ID_REUSED.
 */
export async function finalizeVersion(
  deps: RegistryDeps,
  command: FinalizeVersionCommand,
  signal: AbortSignal,
): Promise<FinalizedVersion> {
  const check = new RequestCheck();
  check.text(command.requestId, 'request_id', MAX_REQUEST_ID_LENGTH);
  check.throwIfBad();
  const { catalog, blobs } = deps;
  const request = { operation: 'finalize', requestId: command.requestId, content: [command.stagingId] } as const;
  let earlier = await findEarlier(catalog, request, signal);
  const staging = await requireStaging(deps, command.stagingId, signal);
  if (staging.version !== 0) {
    // Its manifest may have been collected with the version since.
    await requireStillThere(deps, staging, staging.version, signal);
  }
  const manifest = await readManifest(blobs, staging.manifest, signal);
  if (earlier === undefined && staging.version === 0) {
    await verifyBlobs(blobs, manifest, signal);
  }
  while (earlier === undefined) {
    const draft = draftOf(manifest, { ...staging, createTimeMs: deps.clock.nowMs() }, await placesOf(blobs, manifest, signal));
    const result = await catalog.addVersion(staging.id, draft, recordOf(request, '', true), signal);
    if (result.kind === 'added') {
      return { version: result.version, isCreated: result.isCreated };
    }
    earlier = await findEarlier(catalog, request, signal);
  }
  return answerAgain(deps, staging, earlier, signal);
}

async function answerAgain(
  deps: RegistryDeps,
  staging: Staging,
  earlier: RequestIdentity,
  signal: AbortSignal,
): Promise<FinalizedVersion> {
  return {
    version: await requireStillThere(deps, staging, Number(earlier.subject), signal),
    isCreated: earlier.isEffective,
  };
}

/** The version that a staging became. @throws ServiceError failed-precondition VERSION_DELETED. */
async function requireStillThere(
  { catalog }: RegistryDeps,
  { model }: Staging,
  number: number,
  signal: AbortSignal,
): Promise<Version> {
  const version = await catalog.getVersion(model, number, signal);
  if (version === undefined) {
    await throwIfDeleted(catalog, model, number, signal);
    throw new Error(`${model}:${number} was finalized before and is not there`);
  }
  return version;
}

async function placesOf(blobs: BlobStore, manifest: Manifest, signal: AbortSignal): Promise<ReadonlyMap<Digest, ObjectPlace>> {
  const places = new Map<Digest, ObjectPlace>();
  const absent = new Set<Digest>();
  for (const digest of declaredBlobs(manifest).keys()) {
    // It may go out of sight after it was verified; a version without the place would lack it for ever.
    const found = await lookForNeeded(blobs, digest, () => findPlace(blobs, digest, signal), signal);
    if (found === undefined) {
      absent.add(digest);
    } else if (found.place !== undefined) {
      places.set(digest, found.place);
    }
  }
  throwIfMissing(absent);
  return places;
}

/** Undefined when the blob is not there; a stored one need not have a place. */
async function findPlace(
  blobs: BlobStore,
  digest: Digest,
  signal: AbortSignal,
): Promise<{ readonly place: ObjectPlace | undefined } | undefined> {
  const place = await blobs.placeOf(digest, signal);
  if (place !== undefined) {
    return { place };
  }
  return (await blobs.stat(digest, signal)) === undefined ? undefined : { place: await blobs.placeOf(digest, signal) };
}

async function verifyBlobs(blobs: BlobStore, manifest: Manifest, signal: AbortSignal): Promise<void> {
  // What is missing is known at once; reading gigabytes before saying so would waste the caller's time.
  const states = await uploadStates(blobs, manifest, signal);
  const absent = new Set<Digest>();
  for (const { blob, isComplete } of states) {
    if (!isComplete && !(await restoreNeeded(blobs, blob.digest, signal))) {
      absent.add(blob.digest);
    }
  }
  throwIfMissing(absent);
  for (const blob of declaredBlobs(manifest).values()) {
    await verifyBlob(blobs, blob, absent, signal);
  }
  throwIfMissing(absent);
}

async function verifyBlob(blobs: BlobStore, blob: ChunkedBlob, absent: Set<Digest>, signal: AbortSignal): Promise<void> {
  const result = await verifyNeeded(blobs, blob, signal);
  switch (result.kind) {
    case 'valid':
      return;
    case 'absent':
      absent.add(blob.digest);
      return;
    case 'corrupt':
      // Bytes that are not those of their name are of no use to anyone; without them the blob can be uploaded again.
      await blobs.deleteCorrupt(blob.digest, result.copy, signal);
      throw new ServiceError(
        'data-loss',
        'DIGEST_MISMATCH',
        `the stored bytes of ${blob.digest} have the digest ${result.found.digest}`,
      );
    case 'wrong-size':
      throw new ServiceError(
        'data-loss',
        'SIZE_MISMATCH',
        `${blob.digest} is declared with ${blob.sizeBytes} bytes and has ${result.found.sizeBytes}`,
      );
    case 'wrong-chunk':
      throw new ServiceError(
        'data-loss',
        'DIGEST_MISMATCH',
        `chunk ${result.index} of ${blob.digest} is declared as ${result.expected ?? 'absent'} and is ${result.found}`,
      );
  }
}

function throwIfMissing(absent: ReadonlySet<Digest>): void {
  if (absent.size > 0) {
    const named = [...absent].slice(0, MAX_NAMED).join(', ');
    const more = absent.size > MAX_NAMED ? ` and ${absent.size - MAX_NAMED} more` : '';
    throw new ServiceError('failed-precondition', 'BLOBS_MISSING', `not uploaded: ${named}${more}`, {
      metadata: { missing_count: String(absent.size) },
    });
  }
}
