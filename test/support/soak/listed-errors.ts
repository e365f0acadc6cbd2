import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isServiceError, type ServiceError } from '../../../proto/wire/errors.ts';
import { repositoryRoot } from '../reference-data.ts';

/** The reasons of proto/wire/errors.ts, read from there: a type has no list at run time. */
const REASONS: ReadonlySet<string> = readReasons();

/** It is one of the closed list, and the caller's or the moment's fault: nothing that is sent may meet a defect. */
export function assertListed(error: unknown, what: string): asserts error is ServiceError {
  assert.ok(isServiceError(error), `${what}: ${error instanceof Error ? error.stack : String(error)}`);
  assert.ok(REASONS.has(error.reason), `${what}: ${error.reason} is no listed reason (${error.message})`);
  assert.notEqual(error.kind, 'internal', `${what}: ${error.message}`);
}

function readReasons(): Set<string> {
  const text = readFileSync(join(repositoryRoot, 'proto', 'wire', 'errors.ts'), 'utf8');
  const [, union = ''] = /export type ErrorReason =([^;]+);/.exec(text) ?? [];
  const reasons = [...union.matchAll(/'([A-Z_]+)'/g)].map(([, reason = '']) => reason);
  assert.ok(reasons.length > 40, 'the list of reasons was not found');
  return new Set(reasons);
}
