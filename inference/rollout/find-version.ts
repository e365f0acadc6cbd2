import { isMisconfigured, isServiceError, ServiceError } from '../../proto/wire/errors.ts';
import { formatReference, type ModelReference } from '../../proto/wire/names.ts';
import type { AliasTable } from './alias-table.ts';
import type { ModelSource } from './model-source.ts';
import type { VersionKey } from './servable.ts';
import type { VersionBook, VersionRecord } from './version-book.ts';

/** Until something that is resident may have left. */
const ROOM_RETRY_DELAY_MS = 2_000;

/** What the watch or the book already says costs no call to the registry. */
export function knownVersion(
  { model, selector }: ModelReference,
  aliases: AliasTable,
  book: VersionBook,
): VersionKey | undefined {
  switch (selector.kind) {
    case 'alias':
      return aliases.get(model, selector.alias);
    case 'version':
      return book.all().find(({ key }) => key.model === model && key.version === selector.version)?.key;
    case 'latest':
      return undefined;
  }
}

/** @throws ServiceError unavailable REGISTRY_UNAVAILABLE saying what for; failed-precondition where the registry's store refuses
 * it, until the operator changes something; else as ModelSource.resolve does. */
export async function resolveVersion(reference: ModelReference, source: ModelSource, signal: AbortSignal): Promise<VersionKey> {
  try {
    const { model, version, manifestRef } = await source.resolve(reference, signal);
    return { model, version, manifest: manifestRef };
  } catch (error) {
    // A registry that does not answer in time is as good as down; the caller's own deadline is another matter.
    const isDown = isServiceError(error, 'unavailable') || isServiceError(error, 'deadline-exceeded');
    if (isDown && !signal.aborted) {
      const why = `${formatReference(reference)} is not loaded, and the registry cannot be reached to ask for it: ${error.message}`;
      throw new ServiceError('unavailable', 'REGISTRY_UNAVAILABLE', why, { cause: error });
    }
    if (isMisconfigured(error)) {
      const why = `${formatReference(reference)} is not loaded, and the registry cannot use its store: ${error.message}`;
      throw new ServiceError(error.kind, error.reason, why, { cause: error });
    }
    throw error;
  }
}

/** What a request for a version is told that could not be fetched or loaded. */
export function notReady(reference: ModelReference, record: VersionRecord): ServiceError {
  const { error, key } = record;
  const what = `${formatReference(reference)} (version ${key.version}) is not ready: ${error?.message ?? 'unknown reason'}`;
  // Fits once something else left; the server's own back-off is no longer than the caller's.
  if (error?.kind === 'resource-exhausted') {
    return new ServiceError('resource-exhausted', error.reason, what, { cause: error, retryDelayMs: ROOM_RETRY_DELAY_MS });
  }
  // What the version's own bytes cause will not pass by waiting; everything else may.
  return error?.kind === 'failed-precondition' || error?.kind === 'invalid-argument'
    ? new ServiceError('failed-precondition', error.reason, what, { cause: error })
    : new ServiceError('unavailable', 'MODEL_NOT_READY', what, { cause: error });
}
