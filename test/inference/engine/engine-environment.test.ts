import assert from 'node:assert/strict';
import { test } from 'node:test';
import { engineEnvironment } from '../../../inference/engine/engine-environment.ts';

test('an engine has the environment of its server, keeps freed memory and has no telemetry', () => {
  const environment = engineEnvironment({ PATH: '/bin', ORT_DISABLE_TELEMETRY: '0' });
  assert.equal(environment['PATH'], '/bin');
  assert.equal(environment['ORT_DISABLE_TELEMETRY'], '1');
  assert.equal(environment['MALLOC_ARENA_MAX'], '1');
  // glibc takes no more for the first than 32 MiB and ignores a larger number altogether.
  assert.equal(environment['MALLOC_MMAP_THRESHOLD_'], String(32 * 1024 * 1024));
  assert.ok(Number(environment['MALLOC_TRIM_THRESHOLD_']) >= 32 * 1024 * 1024);
});

test('what an operator set for the allocator stays', () => {
  assert.equal(engineEnvironment({ MALLOC_TRIM_THRESHOLD_: '1' })['MALLOC_TRIM_THRESHOLD_'], '1');
});
