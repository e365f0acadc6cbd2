import assert from 'node:assert/strict';
import { test } from 'node:test';
import { resolveVersion } from '../../../inference/rollout/find-version.ts';
import type { ModelSource } from '../../../inference/rollout/model-source.ts';
import { type ErrorKind, ServiceError } from '../../../proto/wire/errors.ts';
import { parseModelReference } from '../../../proto/wire/names.ts';
import { never } from '../../support/registry/publish.ts';
import { rejection } from '../../support/service-errors.ts';

const REFERENCE = parseModelReference('AMM@latest', 'classification');

function failing(kind: ErrorKind, reason: string): ModelSource {
  const watch: ModelSource['watch'] = () => {
    throw new Error('nobody watches');
  };
  return { watch, resolve: () => Promise.reject(new ServiceError(kind, reason, 'said by the registry')) };
}

for (const [kind, reason, answer] of [
  ['unavailable', 'STORAGE_UNAVAILABLE', 'unavailable REGISTRY_UNAVAILABLE'],
  ['deadline-exceeded', 'DEADLINE_EXCEEDED', 'unavailable REGISTRY_UNAVAILABLE'],
  ['failed-precondition', 'TABLE_ACCESS_DENIED', 'failed-precondition TABLE_ACCESS_DENIED'],
  ['not-found', 'ALIAS_NOT_FOUND', 'not-found ALIAS_NOT_FOUND'],
] as const) {
  test(`where the registry answers ${reason}, a request for what is not loaded is ${answer}`, async () => {
    const error = await rejection(resolveVersion(REFERENCE, failing(kind, reason), never));
    assert.equal(`${error.kind} ${error.reason}`, answer);
    assert.match(error.message, /said by the registry/);
  });
}
