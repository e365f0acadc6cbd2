import { type FieldViolation, ServiceError } from './errors.ts';

/**
 * An error travels in a call's trailers, its text twice: clients of gRPC's C core cut the call off beyond 8 to 16 KB of headers and
 * Node's beyond 64 KB, and the caller never learns why. In UTF-8 bytes, after which the whole stays below 8 KB in base64.
 */
const MAX_MESSAGE_BYTES = 896;
const MAX_VIOLATIONS_BYTES = 2304;
const MAX_METADATA_BYTES = 512;
/** Tags and lengths of one encoded entry. */
const OVERHEAD_BYTES = 8;

/**
 * The error with as much of its text as trailers can hold; what was left out is counted. The texts are well-formed: on half of a
 * surrogate pair, as a message has that cuts a caller's text short, grpc-js throws where nobody catches, and the server is gone.
 */
export function fitTrailers(error: ServiceError): ServiceError {
  const { kind, reason, message, metadata, violations, retryDelayMs, cause } = error;
  return new ServiceError(kind, reason, shorten(message, MAX_MESSAGE_BYTES), {
    cause,
    metadata: fittingEntries(metadata),
    violations: fittingViolations(violations),
    ...(retryDelayMs === undefined ? {} : { retryDelayMs }),
  });
}

function fittingViolations(violations: readonly FieldViolation[]): FieldViolation[] {
  const fitting: FieldViolation[] = [];
  let bytes = 0;
  for (const violation of violations) {
    const field = shorten(violation.field, 256);
    const description = shorten(violation.description, 512);
    bytes += sizeOf(field) + sizeOf(description) + OVERHEAD_BYTES;
    if (bytes > MAX_VIOLATIONS_BYTES) {
      fitting.push({ field: '', description: `and ${violations.length - fitting.length} more` });
      return fitting;
    }
    fitting.push({ field, description });
  }
  return fitting;
}

/** Values are for programs: one is whole or not there. */
function fittingEntries(metadata: Readonly<Record<string, string>>): Record<string, string> {
  let bytes = 0;
  return Object.fromEntries(
    Object.entries(metadata).filter(([key, value]) => {
      bytes += sizeOf(key) + sizeOf(value) + OVERHEAD_BYTES;
      return bytes <= MAX_METADATA_BYTES;
    }),
  );
}

function shorten(text: string, maxBytes: number): string {
  if (text.length <= maxBytes && sizeOf(text) <= maxBytes) {
    return wellFormed(text);
  }
  const note = ` ... (${text.length} characters in all)`;
  // Decoding drops the character that the cut may have split.
  const kept = new TextDecoder().decode(Buffer.from(text.slice(0, maxBytes)).subarray(0, maxBytes - note.length), {
    stream: true,
  });
  return `${kept}${note}`;
}

function wellFormed(text: string): string {
  return Buffer.from(text).toString();
}

/** As UTF-8; gRPC percent-encodes a byte outside of ASCII to three, in one of the two copies. */
function sizeOf(text: string): number {
  return Buffer.byteLength(text);
}
