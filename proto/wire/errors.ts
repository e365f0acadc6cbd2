/**
 * Why a call failed, as far as a caller would act differently on it. Clients retry `unavailable`, `resource-exhausted` and,
 * after reading again, `aborted`; nothing else may use those three.
 */
export type ErrorKind =
  | 'invalid-argument'
  | 'not-found'
  | 'already-exists'
  | 'failed-precondition'
  | 'aborted'
  | 'resource-exhausted'
  | 'unavailable'
  | 'data-loss'
  | 'deadline-exceeded'
  | 'cancelled'
  | 'internal';

/** Stable machine-readable reasons, sent as `google.rpc.ErrorInfo.reason`. Documented at each RPC in the .proto files. */
export type ErrorReason =
  | 'ALIAS_NOT_FOUND'
  | 'BLOBS_MISSING'
  | 'BLOB_ARCHIVED'
  | 'BLOB_NOT_DECLARED'
  | 'BLOB_NOT_FOUND'
  | 'BUCKET_ACCESS_DENIED'
  | 'BUCKET_NOT_FOUND'
  | 'BUCKET_NOT_VERSIONED'
  | 'CANCELLED'
  | 'CANNOT_LISTEN'
  | 'CREDENTIALS_REFUSED'
  | 'DEADLINE_EXCEEDED'
  | 'DEADLINE_UNREACHABLE'
  | 'DIGEST_MISMATCH'
  | 'DOWNLOAD_FAILED'
  | 'DOWNLOAD_REFUSED'
  | 'ENGINE_CRASHED'
  | 'ENGINE_HUNG'
  | 'ENGINE_OUT_OF_MEMORY'
  | 'FILE_NOT_FOUND'
  | 'GOLDEN_CHECK_FAILED'
  | 'IMAGE_TOO_LARGE'
  | 'INSUFFICIENT_MEMORY'
  | 'INTERNAL'
  | 'INVALID_BUNDLE'
  | 'INVALID_CURSOR'
  | 'INVALID_MANIFEST'
  | 'INVALID_PAGE_TOKEN'
  | 'INVALID_RECORD'
  | 'INVALID_REQUEST'
  | 'KIND_MISMATCH'
  | 'KMS_KEY_REFUSED'
  | 'LOAD_FAILED'
  | 'MALFORMED_MESSAGE'
  | 'MESSAGE_TOO_LARGE'
  | 'MODEL_EXISTS'
  | 'MODEL_NOT_FOUND'
  | 'MODEL_NOT_READY'
  | 'NOT_ENOUGH_READY'
  | 'NO_BACKGROUND'
  | 'NO_PREVIOUS_VERSION'
  | 'OUTPUT_EXISTS'
  | 'PREFETCHES_FULL'
  | 'QUEUE_FULL'
  | 'RECORD_NOT_FOUND'
  | 'RECORD_RESTRICTED'
  | 'REGISTRY_UNAVAILABLE'
  | 'REPORTS_FULL'
  | 'REQUEST_ID_REUSED'
  | 'RESERVED_ALIAS'
  | 'REVISION_CONFLICT'
  | 'SERVICE_UNKNOWN'
  | 'SHUTTING_DOWN'
  | 'SIZE_MISMATCH'
  | 'STAGING_NOT_FOUND'
  | 'STORAGE_FULL'
  | 'STORAGE_UNAVAILABLE'
  | 'TABLE_ACCESS_DENIED'
  | 'TABLE_NOT_FOUND'
  | 'UNDECODABLE_IMAGE'
  | 'UNREADABLE_FILE'
  | 'UNSUPPORTED_FORMAT'
  | 'UNSUPPORTED_MODEL'
  | 'UNWRITABLE_FILE'
  | 'UPLOAD_STALLED'
  | 'VERSION_DELETED'
  | 'VERSION_IN_USE'
  | 'VERSION_NOT_FOUND';

export interface FieldViolation {
  /** Path of the field in the request, such as `options.thresholds.score_threshold`. */
  readonly field: string;
  readonly description: string;
}

export interface ErrorDetails {
  readonly cause?: unknown;
  /** Sent as ErrorInfo.metadata: values a program can act on, such as current_revision. */
  readonly metadata?: Readonly<Record<string, string>>;
  readonly violations?: readonly FieldViolation[];
  readonly retryDelayMs?: number;
}

/** The one error that crosses module borders. Messages carry values: expected and found, the digest, the model and version. */
export class ServiceError extends Error {
  override readonly name = 'ServiceError';
  readonly kind: ErrorKind;
  readonly reason: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly violations: readonly FieldViolation[];
  readonly retryDelayMs: number | undefined;

  /** `reason` is an ErrorReason; a peer of a later release may send one that is not listed here yet. */
  constructor(kind: ErrorKind, reason: ErrorReason | (string & {}), message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.kind = kind;
    this.reason = reason;
    this.metadata = details.metadata ?? {};
    this.violations = details.violations ?? [];
    this.retryDelayMs = details.retryDelayMs;
  }
}

/** An INVALID_ARGUMENT that lists every violation. */
export function invalid(violations: readonly FieldViolation[]): ServiceError {
  const message = violations.map(({ field, description }) => `${field}: ${description}`).join('; ');
  return new ServiceError('invalid-argument', 'INVALID_REQUEST', message, { violations });
}

export function isServiceError(error: unknown, kind?: ErrorKind): error is ServiceError {
  return error instanceof ServiceError && (kind === undefined || error.kind === kind);
}

const MISCONFIGURED: ReadonlySet<string> = new Set([
  'BUCKET_ACCESS_DENIED',
  'BUCKET_NOT_FOUND',
  'CREDENTIALS_REFUSED',
  'KMS_KEY_REFUSED',
  'TABLE_ACCESS_DENIED',
  'TABLE_NOT_FOUND',
]);

/** Whether a store refuses its service until the operator changes something: every call will fail so, whoever makes it. */
export function isMisconfigured(error: unknown): error is ServiceError {
  return isServiceError(error, 'failed-precondition') && MISCONFIGURED.has(error.reason);
}

/** What an aborted wait throws: the signal's own reason where that is a ServiceError, else CANCELLED. */
export function abortError(signal: AbortSignal): ServiceError {
  const reason: unknown = signal.reason;
  return reason instanceof ServiceError ? reason : new ServiceError('cancelled', 'CANCELLED', 'cancelled', { cause: reason });
}

/** @throws ServiceError when `signal` is aborted. */
export function throwIfAborted(signal: AbortSignal): void {
  if (signal.aborted) {
    throw abortError(signal);
  }
}
