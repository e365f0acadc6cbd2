import { Metadata, type ServiceError as GrpcError, type StatusObject, status } from '@grpc/grpc-js';
import { BadRequest, ErrorInfo, RetryInfo } from '../gen/google/rpc/error_details.ts';
import { Status } from '../gen/google/rpc/status.ts';
import { fitTrailers } from './error-size.ts';
import { type ErrorKind, isServiceError, ServiceError } from './errors.ts';

/** Where the google.rpc.Status of an error travels, as gRPC defines. */
const DETAILS_KEY = 'grpc-status-details-bin';
const ERROR_DOMAIN = 'maskterial';

/** The one table between kinds and gRPC statuses. */
const CODES: Readonly<Record<ErrorKind, status>> = {
  'invalid-argument': status.INVALID_ARGUMENT,
  'not-found': status.NOT_FOUND,
  'already-exists': status.ALREADY_EXISTS,
  'failed-precondition': status.FAILED_PRECONDITION,
  aborted: status.ABORTED,
  'resource-exhausted': status.RESOURCE_EXHAUSTED,
  unavailable: status.UNAVAILABLE,
  'data-loss': status.DATA_LOSS,
  'deadline-exceeded': status.DEADLINE_EXCEEDED,
  cancelled: status.CANCELLED,
  internal: status.INTERNAL,
};

const KINDS: ReadonlyMap<number, ErrorKind> = new Map(Object.entries(CODES).map(([kind, code]) => [code, kind as ErrorKind]));

/** What a foreign error is for the caller: INTERNAL, without its text. */
export function toServiceError(error: unknown): ServiceError {
  return isServiceError(error)
    ? error
    : new ServiceError('internal', 'INTERNAL', 'internal error; the server log has the details', { cause: error });
}

/** The google.rpc.Status of an error, for messages that carry one. */
export function toRpcStatus(error: unknown): Status {
  const known = toServiceError(error);
  const details = [
    pack(
      'google.rpc.ErrorInfo',
      ErrorInfo.encode({ reason: known.reason, domain: ERROR_DOMAIN, metadata: { ...known.metadata } }).finish(),
    ),
  ];
  if (known.violations.length > 0) {
    const fieldViolations = known.violations.map(({ field, description }) => ({
      field,
      description,
      reason: '',
      localizedMessage: undefined,
    }));
    details.push(pack('google.rpc.BadRequest', BadRequest.encode({ fieldViolations }).finish()));
  }
  if (known.retryDelayMs !== undefined) {
    details.push(pack('google.rpc.RetryInfo', RetryInfo.encode({ retryDelay: toDuration(known.retryDelayMs) }).finish()));
  }
  return { code: CODES[known.kind], message: known.message, details };
}

/** The status that ends a call, its google.rpc.Status in the trailers; shortened where it would not fit there. */
export function toGrpcStatus(error: unknown): StatusObject {
  const rpcStatus = toRpcStatus(fitTrailers(toServiceError(error)));
  const metadata = new Metadata();
  metadata.set(DETAILS_KEY, Buffer.from(Status.encode(rpcStatus).finish()));
  return { code: rpcStatus.code, details: rpcStatus.message, metadata };
}

/** The error in a google.rpc.Status that a peer sent. */
export function fromRpcStatus(rpcStatus: Status, cause?: unknown): ServiceError {
  const kind = KINDS.get(rpcStatus.code) ?? 'internal';
  let reason = defaultReason(kind);
  let metadata: Record<string, string> = {};
  let violations: { field: string; description: string }[] = [];
  let retryDelayMs: number | undefined;
  for (const { typeUrl, value } of rpcStatus.details) {
    switch (typeUrl.slice(typeUrl.lastIndexOf('/') + 1)) {
      case 'google.rpc.ErrorInfo': {
        const info = ErrorInfo.decode(value);
        reason = info.reason;
        metadata = info.metadata;
        break;
      }
      case 'google.rpc.BadRequest':
        violations = BadRequest.decode(value).fieldViolations.map(({ field, description }) => ({ field, description }));
        break;
      case 'google.rpc.RetryInfo': {
        const delay = RetryInfo.decode(value).retryDelay;
        retryDelayMs = delay === undefined ? undefined : Number(delay.seconds) * 1000 + delay.nanos / 1e6;
        break;
      }
      default:
        break;
    }
  }
  return new ServiceError(kind, reason, rpcStatus.message, {
    metadata,
    violations,
    ...(cause === undefined ? {} : { cause }),
    ...(retryDelayMs === undefined ? {} : { retryDelayMs }),
  });
}

/** What a failed client call throws. */
export function fromGrpcError(error: GrpcError): ServiceError {
  const [encoded] = error.metadata?.get(DETAILS_KEY) ?? [];
  if (Buffer.isBuffer(encoded)) {
    try {
      return fromRpcStatus(Status.decode(encoded), error);
    } catch {
      // Details that some proxy broke: the code and the text below say the rest.
    }
  }
  const kind = KINDS.get(error.code) ?? 'internal';
  // A code without a kind, such as UNIMPLEMENTED where another service listens, says more by its own name.
  const reason = status[error.code] ?? defaultReason(kind);
  return new ServiceError(kind, reason, error.details || error.message, { cause: error });
}

/** Whether a status says more than its code: every one that `toGrpcStatus` made does. */
export function hasDetails({ metadata }: { readonly metadata?: Metadata | null | undefined }): boolean {
  return (metadata?.get(DETAILS_KEY).length ?? 0) > 0;
}

/** The name of a gRPC code, for logs. */
export function codeName(error: unknown): string {
  return error === undefined ? 'OK' : (status[CODES[toServiceError(error).kind]] ?? 'UNKNOWN');
}

export function toDuration(ms: number): { seconds: bigint; nanos: number } {
  // Rounded first, so that the nanoseconds never make a second.
  const nanos = Math.round(ms * 1e6);
  const seconds = Math.floor(nanos / 1e9);
  return { seconds: BigInt(seconds), nanos: nanos - seconds * 1e9 };
}

/** For errors that no server of this project sent: a refused connection, a proxy's answer. */
function defaultReason(kind: ErrorKind): string {
  return kind.toUpperCase().replaceAll('-', '_');
}

function pack(type: string, value: Uint8Array): { typeUrl: string; value: Buffer } {
  return { typeUrl: `type.googleapis.com/${type}`, value: Buffer.from(value) };
}
