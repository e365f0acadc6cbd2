import type { Digest } from '../../../proto/wire/digest.ts';
import type { BlobStore } from '../../../registry/release/blob-store.ts';

export interface BlobStoreFixture {
  readonly store: BlobStore;
  /** Another instance on the same storage, as a restart or another process would have it. */
  openAnother(): Promise<BlobStore>;
  /** Changes one byte of a stored blob behind the store's back. */
  damage(digest: Digest): Promise<void>;
  close(): Promise<void>;
}
