import { callAfter, type Clock } from '../../infra/process/clock.ts';
import type { UploadBlobRequest } from '../../proto/gen/maskterial/registry/v1/registry_service.ts';
import { MESSAGE_BYTES } from '../../proto/wire/chunks.ts';
import { invalid, ServiceError } from '../../proto/wire/errors.ts';
import type { UploadBlobCommand } from '../release/upload.ts';
import { blobFrom } from './convert.ts';

export interface UploadLimits {
  readonly clock: Pick<Clock, 'sleep'>;
  /** How long to wait for one message; the time that the upload takes between two of them does not count. */
  readonly idleMs: number;
}

/**
 * Takes the header from the stream and hands the bytes after it to `upload`; the stream is released however that ends.
 * @throws ServiceError invalid-argument INVALID_REQUEST for a stream of another form, when it gets there;
 *   unavailable UPLOAD_STALLED when the client sends nothing for too long.
 */
export async function withUpload<T>(
  requests: AsyncIterable<UploadBlobRequest>,
  limits: UploadLimits,
  upload: (command: UploadBlobCommand) => Promise<T>,
): Promise<T> {
  const iterator = withinLimits(requests[Symbol.asyncIterator](), limits);
  try {
    const first = await iterator.next();
    const part = first.done === true ? undefined : first.value.part;
    if (part?.$case !== 'header') {
      throw invalid([
        { field: 'header', description: `expected a header first, found ${part === undefined ? 'nothing' : 'data'}` },
      ]);
    }
    const { stagingId, blob, firstChunk } = part.value;
    return await upload({ stagingId, blob: blobFrom(blob), firstChunk, data: dataOf(iterator) });
  } finally {
    await iterator.return?.();
  }
}

async function* dataOf(iterator: AsyncIterator<UploadBlobRequest, unknown>): AsyncGenerator<Uint8Array> {
  for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
    const { part } = next.value;
    if (part?.$case !== 'data') {
      throw invalid([
        {
          field: 'data',
          description: `expected data after the header, found ${part === undefined ? 'nothing' : 'another header'}`,
        },
      ]);
    }
    if (part.value.byteLength > MESSAGE_BYTES) {
      throw invalid([{ field: 'data', description: `${part.value.byteLength} bytes in one message, at most ${MESSAGE_BYTES}` }]);
    }
    yield part.value;
  }
}

/** Ends the wait for a message that does not come. */
function withinLimits<T>(source: AsyncIterator<T>, { clock, idleMs }: UploadLimits): AsyncIterator<T, unknown> {
  let isStalled = false;
  return {
    next: () =>
      new Promise((resolve, reject) => {
        const arrived = callAfter(clock, idleMs, () => {
          isStalled = true;
          reject(
            new ServiceError('unavailable', 'UPLOAD_STALLED', `the client sent nothing for ${idleMs} ms; resume the upload`),
          );
        });
        void source.next().then(resolve, reject).finally(arrived);
      }),
    return: async () => {
      const released = source.return?.();
      // A generator that still waits for its message is released only when that wait ends, with the call itself.
      if (!isStalled) {
        await released;
      }
      return { done: true, value: undefined };
    },
  };
}
