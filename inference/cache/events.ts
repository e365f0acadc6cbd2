import type { BlobRef, Digest } from '../../proto/wire/digest.ts';

/** What happened to a cache besides what its calls return or throw; for the log and the metrics. */
export type CacheEvent =
  /** A file did not match its name and was set aside. */
  | { readonly kind: 'blob-quarantined'; readonly digest: Digest; readonly path: string; readonly why: string }
  /** A source could not give a chunk; the next one is asked. */
  | {
      readonly kind: 'source-failed';
      readonly ref: BlobRef;
      readonly chunk: number;
      readonly source: string;
      readonly error: unknown;
    }
  /** A source gave other bytes than the chunk's; nothing of them was kept. */
  | {
      readonly kind: 'source-lied';
      readonly ref: BlobRef;
      readonly chunk: number;
      readonly source: string;
      readonly error: unknown;
    }
  /** A download goes on with the chunks that an earlier one, or a quarantined file, holds. */
  | { readonly kind: 'download-resumed'; readonly ref: BlobRef; readonly keptChunks: number; readonly totalChunks: number }
  | { readonly kind: 'blob-fetched'; readonly ref: BlobRef; readonly fetchedChunks: number }
  /** Another server published the same blob first; its file stays, ours went. */
  | { readonly kind: 'publication-lost'; readonly ref: BlobRef }
  | { readonly kind: 'blob-evicted'; readonly digest: Digest; readonly sizeBytes: number }
  /** All that can be spared is gone and the folder is still larger than its budget: pinned blobs alone exceed it. */
  | { readonly kind: 'over-budget'; readonly excessBytes: number; readonly maxBytes: number }
  /** A dead owner's or an idle file that nobody goes on with. */
  | { readonly kind: 'leftover-removed'; readonly path: string }
  /** A file of a foreign name; it stays. */
  | { readonly kind: 'unexpected-file'; readonly path: string }
  /** A document of state counts as absent. */
  | { readonly kind: 'state-unreadable'; readonly path: string; readonly why: string }
  /** Something that nobody waits for failed: a removal, a time stamp. */
  | { readonly kind: 'clean-up-failed'; readonly doing: string; readonly error: unknown };

export type OnCacheEvent = (event: CacheEvent) => void;
