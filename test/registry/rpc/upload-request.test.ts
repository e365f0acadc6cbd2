import assert from 'node:assert/strict';
import { it } from 'node:test';
import type { UploadBlobRequest } from '../../../proto/gen/maskterial/registry/v1/registry_service.ts';
import { MESSAGE_BYTES } from '../../../proto/wire/chunks.ts';
import { withUpload } from '../../../registry/rpc/upload-request.ts';
import { collect } from '../../support/registry/publish.ts';
import { hasViolationAt } from '../../support/service-errors.ts';

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
  const bytes = await withUpload(requests, async ({ stagingId, firstChunk, data: rest }) => {
    assert.deepEqual([stagingId, firstChunk], ['s', 3]);
    return collect(rest);
  });
  assert.equal(bytes.byteLength, MESSAGE_BYTES + 2);
  assert.ok(isReleased());
});

it('releases the stream when the upload ends without reading it', async () => {
  const { requests, isReleased } = streamOf(header, data(2));
  assert.equal(await withUpload(requests, async () => 'stored already'), 'stored already');
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
      withUpload(requests, ({ data: rest }) => collect(rest)),
      hasViolationAt('INVALID_REQUEST', field),
    );
    assert.ok(isReleased() || messages.length === 0);
  }
});
