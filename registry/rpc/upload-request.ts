import type { UploadBlobRequest } from '../../proto/gen/maskterial/registry/v1/registry_service.ts';
import { MESSAGE_BYTES } from '../../proto/wire/chunks.ts';
import { invalid } from '../../proto/wire/errors.ts';
import type { UploadBlobCommand } from '../release/upload.ts';
import { blobFrom } from './convert.ts';

/**
 * Takes the header from the stream and hands the bytes after it to `upload`; the stream is released however that ends.
 * @throws ServiceError invalid-argument INVALID_REQUEST for a stream of another form, when it gets there.
 */
export async function withUpload<T>(
  requests: AsyncIterable<UploadBlobRequest>,
  upload: (command: UploadBlobCommand) => Promise<T>,
): Promise<T> {
  const iterator = requests[Symbol.asyncIterator]();
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

async function* dataOf(iterator: AsyncIterator<UploadBlobRequest>): AsyncGenerator<Uint8Array> {
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
