import { nameOf } from './error-names.ts';

/** Such as `KMS.DisabledException`: what S3 passes on of the service that keeps the keys. */
const OF_KEYS = /^KMS\.?[A-Z]/;
const PASSING = /Throttl|KeyUnavailable|DependencyTimeout|Internal/;

/** Whether the key of an encrypted object or bucket could not be used. */
export function isKeyFailure(error: unknown): boolean {
  return OF_KEYS.test(nameOf(error));
}

/** Whether the key service was only busy. */
export function isPassingKeyFailure(error: unknown): boolean {
  return isKeyFailure(error) && PASSING.test(nameOf(error));
}

/** The key that a failure is about, without the account that it belongs to; undefined where the service does not say. */
export function keyOf(error: Error): string | undefined {
  return /:((?:key|alias)\/[\w/-]+)/.exec(error.message)?.[1];
}
