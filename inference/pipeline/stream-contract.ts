import type { StreamRoom } from './stream-room.ts';

/** What a caller says, in the order it says it. */
export type StreamCommand<O> =
  | { readonly kind: 'begin'; readonly imageId: string; readonly options: O }
  | { readonly kind: 'chunk'; readonly data: Uint8Array }
  | { readonly kind: 'end' }
  | { readonly kind: 'cancel'; readonly imageId: string };

/** Each image has one last event: the one that `isLast` knows, or `failed`. */
export type StreamEvent<E> =
  | { readonly kind: 'event'; readonly imageId: string; readonly event: E }
  | { readonly kind: 'failed'; readonly imageId: string; readonly error: unknown };

export interface ImageStreamDeps<O, E> {
  /** The events of one image, the last one last. */
  readonly predict: (image: Uint8Array, options: O, signal: AbortSignal) => AsyncIterable<E>;
  readonly isLast: (event: E) => boolean;
  /** Shared by all streams of the server. */
  readonly room: StreamRoom;
}

export interface ImageStreamSettings {
  /** Images of one stream that are worked on, or whose results wait for the caller; one more may wait for its turn. */
  readonly maxImagesAtOnce: number;
  readonly maxImageBytes: number;
}
