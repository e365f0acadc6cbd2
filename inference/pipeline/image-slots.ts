import { abortError, ServiceError, throwIfAborted } from '../../proto/wire/errors.ts';
import type { Outbox } from './outbox.ts';
import type { ImageStreamDeps, ImageStreamSettings, StreamEvent } from './stream-contract.ts';
import type { StreamShare } from './stream-room.ts';

/** An image whose last event was not taken yet. */
export interface LiveImage<O> {
  readonly imageId: string;
  readonly options: O;
  readonly cancelling: AbortController;
  /** Of the stream's share of the room. */
  heldBytes: number;
}

interface WholeImage<O> {
  readonly image: LiveImage<O>;
  readonly bytes: Uint8Array;
}

/** Runs a stream's images, a few at once; one more waits for the next free slot. */
export class ImageSlots<O, E> {
  readonly #outbox: Outbox<StreamEvent<E>>;
  readonly #deps: ImageStreamDeps<O, E>;
  readonly #maxAtOnce: number;
  readonly #share: StreamShare;
  readonly #signal: AbortSignal;
  readonly #live = new Map<string, LiveImage<O>>();
  readonly #running = new Set<Promise<void>>();
  #next: WholeImage<O> | undefined;
  #onChange: (() => void) | undefined;

  constructor(
    outbox: Outbox<StreamEvent<E>>,
    deps: ImageStreamDeps<O, E>,
    { maxImagesAtOnce }: ImageStreamSettings,
    share: StreamShare,
    signal: AbortSignal,
  ) {
    this.#outbox = outbox;
    this.#deps = deps;
    this.#maxAtOnce = maxImagesAtOnce;
    this.#share = share;
    this.#signal = signal;
  }

  /** Nothing runs and nothing waits. */
  get isIdle(): boolean {
    return this.#running.size === 0 && this.#next === undefined;
  }

  find(imageId: string): LiveImage<O> | undefined {
    return this.#live.get(imageId);
  }

  /** Takes the id. To be called for ids that are free. */
  admit(imageId: string, options: O): LiveImage<O> {
    const image = { imageId, options, cancelling: new AbortController(), heldBytes: 0 };
    this.#live.set(imageId, image);
    return image;
  }

  /** Notes that so many more bytes of the image are held. */
  hold(image: LiveImage<O>, bytes: number): void {
    image.heldBytes += bytes;
    this.#share.hold(bytes);
  }

  /** Runs an admitted image, or has it wait; to be called after `untilRoom`. */
  start(image: LiveImage<O>, bytes: Uint8Array): void {
    this.#next = { image, bytes };
    this.#dispatch();
  }

  /** Stops an image, which then answers CANCELLED: at once, or when its engine let go of it. */
  async cancel(image: LiveImage<O>): Promise<void> {
    const reason = new ServiceError('cancelled', 'CANCELLED', `the caller cancelled "${image.imageId}"`);
    image.cancelling.abort(reason);
    if (this.#next?.image === image) {
      this.#next = undefined;
      this.noteChange();
      await this.fail(image, reason);
    }
  }

  /** Tells the caller that an image is over, and gives its id back. @throws the stream's reason when that is aborted first. */
  async fail(image: LiveImage<O>, error: unknown): Promise<void> {
    const { imageId } = image;
    this.#letGo(image);
    if (this.#live.get(imageId) === image) {
      await this.#outbox.put({ kind: 'failed', imageId, error }, this.#signal, () => this.#live.delete(imageId));
    }
  }

  /** Refuses an image that never became a live one. @throws the stream's reason when that is aborted first. */
  refuse(imageId: string, error: unknown): Promise<void> {
    return this.#outbox.put({ kind: 'failed', imageId, error }, this.#signal);
  }

  /**
   * Resolves once no image waits for a slot, and there is room for one more among all streams of the server.
   * @throws the signal's reason.
   */
  async untilRoom(signal: AbortSignal): Promise<void> {
    await this.until(() => this.#next === undefined);
    await this.#share.untilRoom(signal);
  }

  /** Resolves once every image that was started has told its last event, or was aborted. */
  async finished(): Promise<void> {
    await this.until(() => this.isIdle);
  }

  /** Checks now and after each change, its own ones and those noted. */
  async until(check: () => boolean): Promise<void> {
    while (!check()) {
      await new Promise<void>((resolve) => {
        const before = this.#onChange;
        this.#onChange = () => {
          before?.();
          resolve();
        };
      });
    }
  }

  noteChange(): void {
    const wake = this.#onChange;
    this.#onChange = undefined;
    wake?.();
  }

  #letGo(image: LiveImage<O>): void {
    this.#share.release(image.heldBytes);
    image.heldBytes = 0;
  }

  #dispatch(): void {
    if (this.#next !== undefined && this.#running.size < this.#maxAtOnce) {
      const work = this.#work(this.#next).then(() => {
        this.#running.delete(work);
        this.#dispatch();
        this.noteChange();
      });
      this.#running.add(work);
      this.#next = undefined;
    }
  }

  /** Never rejects. */
  async #work({ image, bytes }: WholeImage<O>): Promise<void> {
    const { imageId, options, cancelling } = image;
    const signal = AbortSignal.any([this.#signal, cancelling.signal]);
    try {
      throwIfAborted(signal);
      for await (const event of this.#deps.predict(bytes, options, signal)) {
        const onTaken = this.#deps.isLast(event) ? () => this.#live.delete(imageId) : undefined;
        await this.#outbox.put({ kind: 'event', imageId, event }, signal, onTaken);
      }
    } catch (error) {
      // Rejected only where the whole stream is aborted: nobody listens any more.
      await this.fail(image, signal.aborted ? abortError(signal) : error).catch(() => undefined);
    } finally {
      this.#letGo(image);
    }
  }
}
