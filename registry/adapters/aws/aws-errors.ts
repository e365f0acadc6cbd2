import { isServiceError, ServiceError } from '../../../proto/wire/errors.ts';
import { isCredentialOutage } from './credential-outage.ts';
import { codeOf, isClockCorrected, nameOf, statusOf } from './error-names.ts';
import { isPassingKeyFailure } from './key-failure.ts';
import { type AwsPlace, refusalOf } from './refusal.ts';
import { LostRaceError } from './retry.ts';

/** Trying again at once would meet the same obstacle. */
const RETRY_DELAY_MS = 1_000;
/** Somebody has to make room, or a collection of garbage does. */
const FULL_RETRY_DELAY_MS = 5_000;

/** What AWS says when it is busy, or cannot say whether a request took effect. */
const TRANSIENT = new Set([
  // A table that was just created.
  'ContinuousBackupsUnavailableException',
  // The token service could not ask whoever signed a web identity.
  'IDPCommunicationErrorException',
  'InternalServerError',
  'InternalFailure',
  'InternalError',
  'OperationAborted',
  'ConditionalRequestConflict',
  'ProvisionedThroughputExceededException',
  'RequestLimitExceeded',
  'RequestTimeout',
  'RequestTimeoutException',
  'ServiceUnavailable',
  'SlowDown',
  'Throttling',
  'ThrottlingException',
  'ThrottledException',
  'TimeoutError',
  'TransactionConflictException',
  'TransactionInProgressException',
]);

/** The reasons of a cancelled transaction that say no more than "not now". */
const TRANSIENT_REASONS = new Set(['None', 'TransactionConflict', 'ThrottlingError', 'ProvisionedThroughputExceeded']);

const NETWORK = new Set([
  'EAI_AGAIN',
  'ECONNABORTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EPIPE',
  'ERR_STREAM_PREMATURE_CLOSE',
  'ETIMEDOUT',
]);

const FULL = new Set(['InsufficientStorage', 'QuotaExceeded', 'XMinioStorageFull']);

/** Whether the same request may succeed a moment later. */
export function isTransient(error: unknown): boolean {
  if (error instanceof LostRaceError || isClockCorrected(error) || TRANSIENT.has(nameOf(error)) || NETWORK.has(codeOf(error))) {
    return true;
  }
  if (isPassingKeyFailure(error) || isCredentialOutage(error)) {
    return true;
  }
  const reasons = cancellationReasons(error);
  if (reasons !== undefined) {
    return reasons.every((reason) => TRANSIENT_REASONS.has(reason));
  }
  const status = statusOf(error);
  // 409: S3 is just doing something else with the object.
  return (status >= 500 && status !== 507) || status === 429 || status === 409;
}

/**
 * What a failure of AWS means to the callers of catalog and blob store: unavailable where it may pass by itself, and
 * failed-precondition where the operator has to change something. What stays as it is is our own mistake. The service's text is in
 * the cause alone: it names accounts and roles.
 */
export function translateAwsError(error: unknown, place: AwsPlace): unknown {
  if (isServiceError(error) || !(error instanceof Error)) {
    return error;
  }
  const name = nameOf(error) || codeOf(error);
  const store = `${place.kind} ${place.name}`;
  if (FULL.has(name) || statusOf(error) === 507) {
    return new ServiceError('resource-exhausted', 'STORAGE_FULL', `${store} is full: ${name}`, {
      cause: error,
      retryDelayMs: FULL_RETRY_DELAY_MS,
    });
  }
  if (isTransient(error)) {
    const what = isCredentialOutage(error) ? 'waits for credentials that cannot be renewed now' : 'is busy or cannot be reached';
    return new ServiceError('unavailable', 'STORAGE_UNAVAILABLE', `${store} ${what}: ${name}`, {
      cause: error,
      retryDelayMs: RETRY_DELAY_MS,
    });
  }
  return refusalOf(error, place) ?? error;
}

/** One code for each write of a cancelled transaction, in order; undefined for any other error. */
export function cancellationReasons(error: unknown): string[] | undefined {
  if (nameOf(error) !== 'TransactionCanceledException' || !(error instanceof Error) || !('CancellationReasons' in error)) {
    return undefined;
  }
  const reasons = error.CancellationReasons;
  return Array.isArray(reasons) ? reasons.map((reason: { Code?: string }) => reason.Code ?? 'None') : undefined;
}
