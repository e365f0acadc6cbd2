/** The refusals of a signature whose time is wrong. */
const ABOUT_TIME = new Set(['InvalidSignatureException', 'RequestExpired', 'RequestTimeTooSkewed', 'SignatureDoesNotMatch']);

/** The service's name for a failure; empty where it has none. */
export function nameOf(error: unknown): string {
  return error instanceof Error && error.name !== 'Error' ? error.name : '';
}

/** The system's name for a failure, such as ECONNREFUSED. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}

/** The HTTP status of the answer; 0 where there was none. */
export function statusOf(error: unknown): number {
  return metadataOf(error).httpStatusCode ?? 0;
}

/**
 * Whether the signature's time was refused, and the client knows the right one by now. The client's mark alone says less: while the
 * host's clock is wrong it is on every failure, as on that there is no such object, or on a HEAD's that has no name.
 */
export function isClockCorrected(error: unknown): boolean {
  return metadataOf(error).clockSkewCorrected === true && ABOUT_TIME.has(nameOf(error));
}

function metadataOf(error: unknown): { readonly httpStatusCode?: number; readonly clockSkewCorrected?: boolean } {
  return error instanceof Error && '$metadata' in error && error.$metadata instanceof Object ? error.$metadata : {};
}
