import { type BlobRef, digestOf, refOf } from '../../proto/wire/digest.ts';
import { ServiceError } from '../../proto/wire/errors.ts';
import { type Manifest, parseManifest } from '../../proto/wire/manifest.ts';
import { type Labels, sortedLabels } from '../model/labels.ts';
import { RequestCheck } from '../model/request-check.ts';
import { checkLineageFits } from '../model/version.ts';
import type { BlobStore } from './blob-store.ts';
import type { Staging } from './catalog.ts';
import { type BlobUploadState, readManifest, requireStaging, uploadStates } from './declared-blobs.ts';
import type { RegistryDeps } from './dependencies.ts';
import { findEarlier, MAX_REQUEST_ID_LENGTH, recordOf } from './idempotency.ts';
import { requireModel } from './not-found.ts';

export interface StageVersionCommand {
  readonly model: string;
  readonly manifestJson: Uint8Array;
  readonly labels: Labels;
  readonly requestId: string;
}

export interface StagedVersion {
  readonly staging: Staging;
  readonly blobs: readonly BlobUploadState[];
}

/**
 * Declares a version: its manifest is stored as a blob, in place of a damaged one, and nothing of it is visible to readers.
 * @throws ServiceError not-found MODEL_NOT_FOUND, or STAGING_NOT_FOUND where what this request id staged was ended since; invalid-argument INVALID_REQUEST, INVALID_MANIFEST or REQUEST_ID_REUSED;
 *   failed-precondition KIND_MISMATCH.
 */
export async function stageVersion(
  deps: RegistryDeps,
  command: StageVersionCommand,
  signal: AbortSignal,
): Promise<StagedVersion> {
  const check = new RequestCheck();
  const name = check.modelName(command.model, 'model');
  const labels = check.labels(command.labels, 'labels');
  check.text(command.requestId, 'request_id', MAX_REQUEST_ID_LENGTH);
  if (name === undefined || check.isBad) {
    throw check.error();
  }
  const { catalog, blobs, clock } = deps;
  const model = await requireModel(catalog, name, signal);
  const manifest = parseManifest(command.manifestJson);
  checkLineageFits(manifest);
  checkKind(manifest, model);
  const ref = refOf(command.manifestJson);
  const request = {
    operation: 'stage',
    requestId: command.requestId,
    content: [name, ref.digest, sortedLabels(labels)],
  } as const;
  for (;;) {
    const earlier = await findEarlier(catalog, request, signal);
    const staging =
      earlier === undefined
        ? { id: deps.newId(), model: name, manifest: ref, labels, createTimeMs: clock.nowMs(), version: 0 }
        : await requireStaging(deps, earlier.subject, signal);
    if (earlier !== undefined || (await catalog.addStaging(staging, recordOf(request, staging.id, true), signal))) {
      // After the staging is recorded: what is found stored from here on is not collected.
      await storeManifest(blobs, command.manifestJson, ref, signal);
      return { staging, blobs: await uploadStates(blobs, manifest, signal) };
    }
    // The same request arrived twice at once and the other one was first: answer as it did.
  }
}

/** Where a staging's uploads stand. @throws ServiceError not-found STAGING_NOT_FOUND. */
export async function getStaging(deps: RegistryDeps, stagingId: string, signal: AbortSignal): Promise<StagedVersion> {
  const staging = await requireStaging(deps, stagingId, signal);
  const manifest = await readManifest(deps.blobs, staging.manifest, signal);
  return { staging, blobs: await uploadStates(deps.blobs, manifest, signal) };
}

function checkKind(manifest: Manifest, model: { readonly name: string; readonly kind: string }): void {
  if (manifest.kind !== model.kind) {
    throw new ServiceError(
      'failed-precondition',
      'KIND_MISMATCH',
      `the manifest is of kind "${manifest.kind}" and model "${model.name}" of kind "${model.kind}"`,
    );
  }
}

/**
 * A manifest is shorter than a chunk. One that is stored already is read again: nothing else ever writes it anew, so a damaged
 * one would keep this content from being published for ever.
 */
async function storeManifest(blobs: BlobStore, bytes: Uint8Array, ref: BlobRef, signal: AbortSignal): Promise<void> {
  const blob = { ...ref, chunks: [digestOf(bytes)] };
  const stored = await blobs.verify(blob, signal);
  if (stored.kind === 'valid') {
    return;
  }
  if (stored.kind === 'corrupt') {
    await blobs.deleteCorrupt(ref.digest, stored.copy, signal);
  }
  const upload = await blobs.openUpload(blob, signal);
  try {
    await upload.putChunk(0, bytes, signal);
    await upload.commit(signal);
  } finally {
    await upload.close();
  }
}
