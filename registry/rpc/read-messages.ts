import type { ReadBlobResponse } from '../../proto/gen/maskterial/registry/v1/registry_service.ts';

/** Each piece as a message, without copying its bytes. */
export async function* readMessages(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<ReadBlobResponse> {
  for await (const piece of pieces) {
    yield { data: Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength) };
  }
}
