import { chunkCount } from '../../../proto/wire/chunks.ts';
import type { BlobRef, Digest } from '../../../proto/wire/digest.ts';

/** What is stored: whole blobs, and the chunks of those that are not whole yet. */
export class ReferenceBlobs {
  readonly #stored = new Map<Digest, BlobRef>();
  readonly #chunks = new Map<Digest, Set<number>>();
  /** What was collected and comes back for whoever needs it; where nothing comes back, it stays empty. */
  readonly #kept = new Set<Digest>();
  readonly #restoresCollected: boolean;

  constructor({ restoresCollected }: { readonly restoresCollected: boolean }) {
    this.#restoresCollected = restoresCollected;
  }

  get stored(): readonly BlobRef[] {
    return [...this.#stored.values()];
  }

  has({ digest }: BlobRef): boolean {
    return this.#stored.has(digest);
  }

  /** Whether it is stored now, or comes back. */
  need(blob: BlobRef): boolean {
    if (!this.has(blob) && this.#kept.has(blob.digest)) {
      this.store(blob);
    }
    return this.has(blob);
  }

  store(blob: BlobRef): void {
    this.#stored.set(blob.digest, blob);
    this.#chunks.delete(blob.digest);
  }

  /** Keeps a chunk that arrived whole. */
  hold({ digest }: BlobRef, chunk: number): void {
    this.#chunks.set(digest, (this.#chunks.get(digest) ?? new Set()).add(chunk));
  }

  /** Stores a blob that is all there. */
  commit(blob: BlobRef): void {
    if ((this.#chunks.get(blob.digest)?.size ?? 0) === chunkCount(blob.sizeBytes)) {
      this.store(blob);
    }
  }

  /** Forgets the chunks of a blob that is not whole. */
  abandon({ digest }: BlobRef): void {
    this.#chunks.delete(digest);
  }

  collect({ digest }: BlobRef): void {
    this.#stored.delete(digest);
    if (this.#restoresCollected) {
      this.#kept.add(digest);
    }
  }

  /** How far the upload of a blob is. */
  state(blob: BlobRef) {
    const isComplete = this.has(blob);
    const verifiedChunks = isComplete ? [] : this.#runs(blob);
    return { digest: blob.digest, sizeBytes: blob.sizeBytes, isComplete, verifiedChunks };
  }

  #runs({ digest, sizeBytes }: BlobRef): { readonly first: number; readonly count: number }[] {
    const isHeld = (chunk: number): boolean => this.#chunks.get(digest)?.has(chunk) ?? false;
    const chunks = [...Array(chunkCount(sizeBytes)).keys()];
    return chunks
      .filter((chunk) => isHeld(chunk) && !isHeld(chunk - 1))
      .map((first) => ({ first, count: (chunks.find((chunk) => chunk > first && !isHeld(chunk)) ?? chunks.length) - first }));
  }
}
