import assert from 'node:assert/strict';
import { test } from 'node:test';
import { VersionBook } from '../../../inference/rollout/version-book.ts';
import { type ErrorKind, ServiceError } from '../../../proto/wire/errors.ts';
import { makeVersion } from '../../support/made-version.ts';

const made = makeVersion('M', 1);

class CountingPin {
  isHeld = true;
  [Symbol.dispose](): void {
    this.isHeld = false;
  }
}

function book(): { book: VersionBook; clock: { nowMs: number }; fetched(): CountingPin } {
  const clock = { nowMs: 100 };
  const versions = new VersionBook(() => clock.nowMs);
  return {
    book: versions,
    clock,
    fetched: () => {
      const pin = new CountingPin();
      versions.want(made.key);
      versions.apply(made.id, 'fetch-begun');
      versions.fetched(made.id, { manifest: made.manifest, paths: { [made.graphDigest]: '/cache/graph' }, pin });
      return pin;
    },
  };
}

test('a version is noted once, by its content', () => {
  const { book: versions, clock } = book();
  assert.equal(versions.want(made.key), made.id);
  clock.nowMs = 200;
  versions.want(made.key);
  versions.want(makeVersion('M', 1, 'other bytes under the same number').key);
  assert.deepEqual(
    versions.all().map(({ state, sinceMs }) => `${state} ${sinceMs}`),
    ['wanted 100', 'wanted 200'],
  );
});

test('what an engine gets: label, manifest and where the files are', () => {
  const { book: versions, fetched } = book();
  fetched();
  assert.deepEqual(versions.spec(made.id), {
    id: made.id,
    label: 'M:1',
    manifest: made.manifest,
    paths: { [made.graphDigest]: '/cache/graph' },
  });
});

test('a version that was not fetched, or is unknown, has nothing for an engine', () => {
  const { book: versions } = book();
  assert.throws(() => versions.spec(made.id), Error);
  versions.want(made.key);
  assert.throws(() => versions.spec(made.id), Error);
});

for (const [kind, pauses] of [
  ['unavailable', [500, 1000, 2000]],
  ['data-loss', [500, 1000, 2000]],
  ['resource-exhausted', [500, 1000, 2000]],
  ['deadline-exceeded', [500, 1000, 2000]],
  ['failed-precondition', [30_000, 60_000, 120_000]],
  ['invalid-argument', [30_000, 60_000, 120_000]],
  ['not-found', [30_000, 60_000, 120_000]],
  ['internal', [30_000, 60_000, 120_000]],
] satisfies [ErrorKind, number[]][]) {
  test(`after ${kind} it is tried again ${kind === 'unavailable' ? 'soon' : 'later'}, each time after a longer pause`, () => {
    const { book: versions, clock } = book();
    versions.want(made.key);
    for (const pause of pauses) {
      versions.apply(made.id, 'fetch-begun');
      versions.failed(made.id, new ServiceError(kind, 'INTERNAL', 'failed'));
      assert.equal(versions.get(made.id)?.retryAtMs, clock.nowMs + pause);
      versions.apply(made.id, 'retried');
    }
  });
}

for (const reason of ['TABLE_ACCESS_DENIED', 'BLOB_ARCHIVED'] as const) {
  test(`a store that its operator puts right is tried again as soon as a network: ${reason}`, () => {
    const { book: versions, clock } = book();
    versions.want(made.key);
    versions.apply(made.id, 'fetch-begun');
    versions.failed(made.id, new ServiceError('failed-precondition', reason, 'refused'));
    assert.equal(versions.get(made.id)?.retryAtMs, clock.nowMs + 500);
  });
}

test('a load that succeeds forgets the failures', () => {
  const { book: versions, clock, fetched } = book();
  versions.want(made.key);
  versions.apply(made.id, 'fetch-begun');
  versions.failed(made.id, new ServiceError('unavailable', 'REGISTRY_UNAVAILABLE', 'down'));
  versions.apply(made.id, 'retried');
  assert.equal(versions.get(made.id)?.error?.reason, 'REGISTRY_UNAVAILABLE');
  fetched();
  versions.apply(made.id, 'load-begun');
  versions.apply(made.id, 'load-done');
  assert.equal(versions.get(made.id)?.error, undefined);
  versions.apply(made.id, 'retired');
  versions.want(made.key);
  versions.apply(made.id, 'load-begun');
  versions.failed(made.id, new ServiceError('unavailable', 'ENGINE_CRASHED', 'died'));
  assert.equal(versions.get(made.id)?.retryAtMs, clock.nowMs + 500);
});

test('a fetch that succeeds forgets that fetching failed, but not that loading did', () => {
  const fetching = book();
  fetching.book.want(made.key);
  fetching.book.apply(made.id, 'fetch-begun');
  fetching.book.failed(made.id, new ServiceError('unavailable', 'REGISTRY_UNAVAILABLE', 'down'));
  fetching.book.apply(made.id, 'retried');
  fetching.fetched();
  assert.equal(fetching.book.get(made.id)?.error, undefined);

  const loading = book();
  loading.fetched();
  loading.book.apply(made.id, 'load-begun');
  loading.book.failed(made.id, new ServiceError('failed-precondition', 'LOAD_FAILED', 'broken'));
  loading.book.apply(made.id, 'retried');
  loading.fetched();
  assert.equal(loading.book.get(made.id)?.error?.reason, 'LOAD_FAILED');
  loading.book.apply(made.id, 'load-begun');
  loading.book.failed(made.id, new ServiceError('failed-precondition', 'LOAD_FAILED', 'broken'));
  assert.equal(loading.book.get(made.id)?.retryAtMs, loading.clock.nowMs + 60_000);
});

test('a foreign error becomes internal and keeps its cause', () => {
  const { book: versions } = book();
  versions.want(made.key);
  versions.apply(made.id, 'fetch-begun');
  const cause = new RangeError('a defect');
  const failure = versions.failed(made.id, cause);
  assert.deepEqual([failure.kind, failure.reason, failure.cause], ['internal', 'INTERNAL', cause]);
});

test('the pin holds until the version is forgotten, fails, or is brought in anew', () => {
  const forgotten = book();
  const pin = forgotten.fetched();
  assert.equal(pin.isHeld, true);
  forgotten.book.forget(made.id);
  assert.equal(pin.isHeld, false);
  assert.equal(forgotten.book.get(made.id), undefined);

  const failed = book();
  const pinOfFailed = failed.fetched();
  failed.book.apply(made.id, 'load-begun');
  failed.book.failed(made.id, new ServiceError('failed-precondition', 'LOAD_FAILED', 'broken'));
  assert.equal(pinOfFailed.isHeld, false);

  const refreshed = book();
  const [before, after] = [refreshed.fetched(), new CountingPin()];
  refreshed.book.refreshed(made.id, { manifest: made.manifest, paths: {}, pin: after });
  assert.deepEqual([before.isHeld, after.isHeld], [false, true]);
});

test('a draining version that is wanted again needs no fetch', () => {
  const { book: versions, fetched } = book();
  fetched();
  versions.apply(made.id, 'load-begun');
  versions.apply(made.id, 'load-done');
  versions.apply(made.id, 'retired');
  versions.want(made.key);
  assert.equal(versions.get(made.id)?.state, 'fetched');
  assert.equal(versions.spec(made.id).label, 'M:1');
});
