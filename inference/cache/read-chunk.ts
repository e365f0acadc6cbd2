import { type Clock, callAfter } from '../../infra/process/clock.ts';
import type { ByteRange } from '../../proto/wire/chunks.ts';
import { type BlobRef, type Digest, Hasher } from '../../proto/wire/digest.ts';
import { isServiceError, ServiceError, throwIfAborted } from '../../proto/wire/errors.ts';
import { orAbort } from './abort.ts';
import type { BlobSource } from './blob-source.ts';
import type { OnCacheEvent } from './events.ts';

export interface ChunkRequest {
  readonly ref: BlobRef;
  readonly range: ByteRange;
  readonly digest: Digest;
}

interface ReadDeps {
  readonly clock: Clock;
  readonly onEvent: OnCacheEvent;
  /** How long a source may give no byte at all before it counts as unavailable. */
  readonly stallTimeoutMs: number;
}

/**
 * Reads one chunk from one source into `into` and returns its bytes, a view of `into`, when they are the chunk's. Whatever comes
 * of it, the source is told to stop: an unread body holds its connection.
 * @throws ServiceError data-loss DIGEST_MISMATCH or SIZE_MISMATCH with expected and found; not-found; unavailable; the signal's
 * reason.
 */
export async function readChunk(
  source: BlobSource,
  request: ChunkRequest,
  into: Buffer,
  signal: AbortSignal,
  deps: ReadDeps,
): Promise<Buffer> {
  const attempt = new AbortController();
  const bounded = AbortSignal.any([signal, attempt.signal]);
  const { lengthBytes } = request.range;
  const hasher = new Hasher();
  let filled = 0;
  try {
    for await (const bytes of watched(source, request, bounded, attempt, deps)) {
      if (filled + bytes.byteLength > lengthBytes) {
        throw wrongSize(source, request, `more than ${lengthBytes}`);
      }
      into.set(bytes, filled);
      hasher.update(bytes);
      filled += bytes.byteLength;
    }
  } catch (error) {
    throwIfAborted(signal);
    throw isServiceError(error)
      ? error
      : new ServiceError('unavailable', 'STORAGE_UNAVAILABLE', `${source.name} failed: ${String(error)}`, { cause: error });
  }
  if (filled !== lengthBytes) {
    throw wrongSize(source, request, String(filled));
  }
  const found = hasher.finish().digest;
  if (found !== request.digest) {
    throw new ServiceError(
      'data-loss',
      'DIGEST_MISMATCH',
      `${where(source, request)}: expected ${request.digest}, found ${found}`,
      {
        metadata: { digest: request.ref.digest, expected: request.digest, found, source: source.name },
      },
    );
  }
  return into.subarray(0, lengthBytes);
}

/** The source's bytes; ends with the signal even where the source ignores it, and after `stallTimeoutMs` without a byte. */
async function* watched(
  source: BlobSource,
  { ref, range }: ChunkRequest,
  signal: AbortSignal,
  attempt: AbortController,
  { clock, onEvent, stallTimeoutMs }: ReadDeps,
): AsyncGenerator<Uint8Array> {
  const iterator = source.open(ref, range, signal)[Symbol.asyncIterator]();
  try {
    for (;;) {
      const disarm = callAfter(clock, stallTimeoutMs, () =>
        attempt.abort(
          new ServiceError('unavailable', 'STORAGE_UNAVAILABLE', `${source.name} gave nothing for ${stallTimeoutMs} ms`),
        ),
      );
      const step = await orAbort(iterator.next(), signal).finally(disarm);
      if (step.done === true) {
        return;
      }
      yield step.value;
    }
  } finally {
    attempt.abort(new ServiceError('cancelled', 'CANCELLED', 'the chunk is not read on'));
    // Not awaited: the return of a generator that hangs in a read waits for that read.
    iterator
      .return?.()
      .catch((error: unknown) => onEvent({ kind: 'clean-up-failed', doing: `end the stream of ${source.name}`, error }));
  }
}

function wrongSize(source: BlobSource, request: ChunkRequest, found: string): ServiceError {
  const expected = String(request.range.lengthBytes);
  return new ServiceError('data-loss', 'SIZE_MISMATCH', `${where(source, request)}: expected ${expected} bytes, found ${found}`, {
    metadata: { digest: request.ref.digest, expected, found, source: source.name },
  });
}

function where(source: BlobSource, { ref, range }: ChunkRequest): string {
  return `bytes from ${range.offsetBytes} of ${ref.digest} out of ${source.name}`;
}
