import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { UploadBlobRequest } from '../../../proto/gen/maskterial/registry/v1/registry_service.ts';
import { MESSAGE_BYTES } from '../../../proto/wire/chunks.ts';
import { type UploadLimits, withUpload } from '../../../registry/rpc/upload-request.ts';
import { deferred } from '../../support/deferred.ts';
import { ManualClock } from '../../support/registry/manual-clock.ts';
import { collect } from '../../support/registry/publish.ts';
import { hasViolationAt, isError } from '../../support/service-errors.ts';

const LIMITS: UploadLimits = { clock: new ManualClock(), idleMs: 1000 };

const header: UploadBlobRequest = { part: { $case: 'header', value: { stagingId: 's', blob: undefined, firstChunk: 3 } } };
const data = (sizeBytes: number): UploadBlobRequest => ({ part: { $case: 'data', value: Buffer.alloc(sizeBytes, 7) } });

/** Notes whether its reader released it. */
function streamOf(...messages: UploadBlobRequest[]): { requests: AsyncIterable<UploadBlobRequest>; isReleased: () => boolean } {
  let isReleased = false;
  const requests = (async function* () {
    try {
      yield* messages;
    } finally {
      isReleased = true;
    }
  })();
  return { requests, isReleased: () => isReleased };
}

it('hands over the header and the bytes after it', async () => {
  const { requests, isReleased } = streamOf(header, data(2), data(MESSAGE_BYTES));
  const bytes = await withUpload(requests, LIMITS, async ({ stagingId, firstChunk, data: rest }) => {
    assert.deepEqual([stagingId, firstChunk], ['s', 3]);
    return collect(rest);
  });
  assert.equal(bytes.byteLength, MESSAGE_BYTES + 2);
  assert.ok(isReleased());
});

it('releases the stream when the upload ends without reading it', async () => {
  const { requests, isReleased } = streamOf(header, data(2));
  assert.equal(await withUpload(requests, LIMITS, async () => 'stored already'), 'stored already');
  assert.ok(isReleased());
});

it('refuses streams of another form', async () => {
  for (const [field, ...messages] of [
    ['header'],
    ['header', data(1), header],
    ['header', { part: undefined }],
    ['data', header, data(1), header],
    ['data', header, { part: undefined }],
    ['data', header, data(MESSAGE_BYTES + 1)],
  ] as const) {
    const { requests, isReleased } = streamOf(...messages);
    await assert.rejects(
      withUpload(requests, LIMITS, ({ data: rest }) => collect(rest)),
      hasViolationAt('INVALID_REQUEST', field),
    );
    assert.ok(isReleased() || messages.length === 0);
  }
});

it('ends the wait for a client that sends nothing, and not one for slow storage', async () => {
  const clock = new ManualClock();
  const nothing = deferred<UploadBlobRequest>();
  const requests = (async function* () {
    yield header;
    yield data(2);
    yield await nothing.promise;
  })();
  let received = 0;
  const uploaded = withUpload(requests, { clock, idleMs: 1000 }, async ({ data: rest }) => {
    for await (const bytes of rest) {
      received += bytes.byteLength;
      assert.equal(clock.sleepers, 0);
      clock.advance(5000);
    }
  });
  const failed = assert.rejects(uploaded, isError('unavailable', 'UPLOAD_STALLED'));
  await clock.untilSleeping(1);
  while (received === 0) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  await clock.untilSleeping(1);
  clock.advance(999);
  assert.equal(clock.sleepers, 1);
  clock.advance(1);
  await failed;
  assert.equal(received, 2);
});

it('ends the wait for a header too', async () => {
  const clock = new ManualClock();
  const nothing = deferred<UploadBlobRequest>();
  const requests = (async function* () {
    yield await nothing.promise;
  })();
  const failed = assert.rejects(
    withUpload(requests, { clock, idleMs: 1000 }, async () => undefined),
    isError('unavailable', 'UPLOAD_STALLED'),
  );
  await clock.untilSleeping(1);
  clock.advance(1000);
  await failed;
});
