import assert from 'node:assert/strict';
import { type ErrorKind, type ErrorReason, isServiceError, type ServiceError } from '../../proto/wire/errors.ts';

/** For assert.throws and assert.rejects: a ServiceError of this kind and reason. */
export function isError(kind: ErrorKind, reason: ErrorReason): (error: unknown) => true {
  return (error) => {
    const { kind: foundKind, reason: foundReason } = asServiceError(error);
    assert.deepEqual({ kind: foundKind, reason: foundReason }, { kind, reason });
    return true;
  };
}

/** For assert.throws and assert.rejects: an invalid-argument whose violations are exactly at these fields, in any order. */
export function hasViolationAt(reason: ErrorReason, ...fields: readonly string[]): (error: unknown) => true {
  return (error) => {
    const known = asServiceError(error);
    assert.deepEqual({ kind: known.kind, reason: known.reason }, { kind: 'invalid-argument', reason });
    assert.deepEqual(known.violations.map(({ field }) => field).toSorted(), [...fields].toSorted());
    return true;
  };
}

/** What `promise` was rejected with. @throws where it was fulfilled, or rejected with a foreign error. */
export async function rejection(promise: Promise<unknown>): Promise<ServiceError> {
  const outcome = await promise.then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  assert.ok('error' in outcome, 'it did not fail');
  return asServiceError(outcome.error);
}

function asServiceError(error: unknown): ServiceError {
  if (!isServiceError(error)) {
    throw new assert.AssertionError({ message: `not a ServiceError: ${String(error)}`, actual: error });
  }
  return error;
}
