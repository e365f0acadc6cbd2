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

/** Whether the signature's time was wrong, and the client knows the right one by now. */
export function isClockCorrected(error: unknown): boolean {
  return metadataOf(error).clockSkewCorrected === true;
}

function metadataOf(error: unknown): { readonly httpStatusCode?: number; readonly clockSkewCorrected?: boolean } {
  return error instanceof Error && '$metadata' in error && error.$metadata instanceof Object ? error.$metadata : {};
}
