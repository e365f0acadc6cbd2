import assert from 'node:assert/strict';
import { isServiceError, ServiceError } from '../../proto/wire/errors.ts';

type BundleReason = 'INVALID_BUNDLE' | 'UNSUPPORTED_MODEL';

/** Asserts that `action` fails as an importer has to, naming `file`, and gives the message. */
export function assertBundleError(action: () => unknown, file: string, reason: BundleReason = 'INVALID_BUNDLE'): string {
  try {
    action();
  } catch (error) {
    return checkBundleError(error, file, reason);
  }
  return assert.fail(`expected ${reason} for ${file}`);
}

/** As `assertBundleError`, of something that takes time. */
export async function rejectsBundle(
  action: Promise<unknown>,
  file: string,
  reason: BundleReason = 'INVALID_BUNDLE',
): Promise<string> {
  const error: unknown = await action.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  return error === undefined ? assert.fail(`expected ${reason} for ${file}`) : checkBundleError(error, file, reason);
}

/** Whether an error is one of the two that hostile or damaged input may give. */
export function isBundleError(error: unknown): boolean {
  return isServiceError(error, 'invalid-argument') && (error.reason === 'INVALID_BUNDLE' || error.reason === 'UNSUPPORTED_MODEL');
}

function checkBundleError(error: unknown, file: string, reason: BundleReason): string {
  assert.ok(error instanceof ServiceError, String(error instanceof Error ? error.stack : error));
  assert.deepEqual([error.kind, error.reason, error.metadata['file']], ['invalid-argument', reason, file], error.message);
  assert.ok(error.message.length < 4000, `an error of ${error.message.length} characters`);
  return error.message;
}
