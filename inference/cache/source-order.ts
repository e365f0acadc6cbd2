import type { BlobRef } from '../../proto/wire/digest.ts';
import { isServiceError, ServiceError, throwIfAborted } from '../../proto/wire/errors.ts';
import type { BlobSource } from './blob-source.ts';
import type { OnCacheEvent } from './events.ts';

/**
 * Asks the sources of one blob in turn, in the order given; one that failed is asked after those that failed less, so that a
 * place without the blob costs one question and not one per chunk.
 */
export class SourceOrder {
  readonly #ref: BlobRef;
  readonly #sources: readonly BlobSource[];
  readonly #failures = new Map<BlobSource, number>();
  readonly #onEvent: OnCacheEvent;

  constructor({ digest, sizeBytes }: BlobRef, sources: readonly BlobSource[], onEvent: OnCacheEvent) {
    this.#ref = { digest, sizeBytes };
    this.#sources = sources;
    this.#onEvent = onEvent;
  }

  /**
   * The first success of `read`. @throws ServiceError when every source failed: failed-precondition BLOB_ARCHIVED where one says so,
   * since others would read the same object; else unavailable where one could not be reached, since trying again may help; else data-loss of the last that gave wrong bytes; else not-found BLOB_NOT_FOUND.
   */
  async firstOf<T>(chunk: number, signal: AbortSignal, read: (source: BlobSource) => Promise<T>): Promise<T> {
    const errors: ServiceError[] = [];
    for (const source of this.#sources.toSorted((left, right) => this.#failuresOf(left) - this.#failuresOf(right))) {
      throwIfAborted(signal);
      try {
        return await read(source);
      } catch (error) {
        throwIfAborted(signal);
        this.#failures.set(source, this.#failuresOf(source) + 1);
        const hasLied = isServiceError(error, 'data-loss');
        this.#onEvent({ kind: hasLied ? 'source-lied' : 'source-failed', ref: this.#ref, chunk, source: source.name, error });
        errors.push(asServiceError(error, source));
      }
    }
    throw this.#verdict(chunk, errors);
  }

  #failuresOf(source: BlobSource): number {
    return this.#failures.get(source) ?? 0;
  }

  #verdict(chunk: number, errors: readonly ServiceError[]): ServiceError {
    const { digest } = this.#ref;
    const messages = errors.map(({ message }) => message).join('; ') || 'there is no source';
    const lost = errors.findLast(({ kind }) => kind === 'data-loss');
    const unreachable = errors.find(({ kind }) => kind !== 'data-loss' && kind !== 'not-found');
    const message = `no source gave chunk ${chunk} of ${digest}: ${messages}`;
    const archived = errors.find(({ reason }) => reason === 'BLOB_ARCHIVED');
    if (archived !== undefined) {
      return new ServiceError(archived.kind, archived.reason, message, { cause: archived, metadata: { digest } });
    }
    if (unreachable !== undefined) {
      return new ServiceError('unavailable', 'STORAGE_UNAVAILABLE', message, { cause: unreachable, metadata: { digest } });
    }
    return lost === undefined
      ? new ServiceError('not-found', 'BLOB_NOT_FOUND', message, { metadata: { digest } })
      : new ServiceError('data-loss', lost.reason, message, { cause: lost, metadata: lost.metadata });
  }
}

function asServiceError(error: unknown, source: BlobSource): ServiceError {
  return isServiceError(error)
    ? error
    : new ServiceError('unavailable', 'STORAGE_UNAVAILABLE', `${source.name} failed: ${String(error)}`, { cause: error });
}
