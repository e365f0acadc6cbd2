import type { StreamImage } from '../predict-stream.ts';
import type { RetryDeps } from '../retry.ts';
import { Wake } from './wake.ts';

/** An image of a batch that has no last event yet. */
export interface PendingImage {
  readonly image: StreamImage;
  /** How often it failed with an error of its own. */
  readonly failureCount: number;
  /** How often the call broke while the server had it in hand. */
  readonly breakCount: number;
}

interface SentImage {
  readonly pending: PendingImage;
  /** The server said that it works on it. */
  isAccepted: boolean;
}

/**
 * The images of a batch on their way through one call after another: those still to come, those put back, those sent. An image
 * is always in exactly one of these places, so a call that breaks loses none.
 */
export class PendingImages {
  readonly #source: AsyncIterator<StreamImage> | Iterator<StreamImage>;
  readonly #maxSent: number;
  readonly #deps: Pick<RetryDeps, 'sleep' | 'now'>;
  readonly #sent = new Map<string, SentImage>();
  readonly #putBack: { readonly pending: PendingImage; readonly dueMs: number }[] = [];
  readonly #change = new Wake();
  #ahead: StreamImage | undefined;
  #isPulling = false;
  #isSourceOver = false;
  #failure: { readonly error: unknown } | undefined;
  #pausedUntilMs = 0;

  /** At most `maxSent` images are without an answer at a time. */
  constructor(
    images: AsyncIterable<StreamImage> | Iterable<StreamImage>,
    maxSent: number,
    deps: Pick<RetryDeps, 'sleep' | 'now'>,
  ) {
    this.#source = Symbol.asyncIterator in images ? images[Symbol.asyncIterator]() : images[Symbol.iterator]();
    this.#maxSent = maxSent;
    this.#deps = deps;
  }

  get sentCount(): number {
    return this.#sent.size;
  }

  /** What the images themselves threw: no call can help. */
  get failure(): { readonly error: unknown } | undefined {
    return this.#failure;
  }

  /** Whether any image is not sent yet; waits for the next one to come. */
  async hasMore(): Promise<boolean> {
    for (;;) {
      if (this.#failure !== undefined) {
        throw this.#failure.error;
      }
      if (this.#putBack.length > 0 || this.#ahead !== undefined) {
        return true;
      }
      if (this.#isSourceOver) {
        return false;
      }
      this.#pull();
      await this.#change.next();
    }
  }

  /** The images for one call; ends when every image of the batch has its last event, or when that call is over. */
  async *take(over: AbortSignal): AsyncGenerator<StreamImage> {
    over.addEventListener('abort', () => this.#change.all(), { once: true });
    for (let next = await this.#next(over); next !== undefined; next = await this.#next(over)) {
      yield next.image;
    }
  }

  noteAccepted(id: string): void {
    const sent = this.#sent.get(id);
    if (sent !== undefined) {
      sent.isAccepted = true;
    }
  }

  /** Its last event came. */
  finish(id: string): Readonly<SentImage> | undefined {
    const sent = this.#sent.get(id);
    this.#sent.delete(id);
    this.#change.all();
    return sent;
  }

  /** To be sent again, not before `dueMs`. */
  putBack(pending: PendingImage, dueMs = 0): void {
    this.#putBack.push({ pending, dueMs });
    this.#change.all();
  }

  get isPaused(): boolean {
    return this.#deps.now() < this.#pausedUntilMs;
  }

  /** Nothing is sent before then. */
  pauseUntil(ms: number): void {
    this.#pausedUntilMs = ms;
  }

  /** The call broke: everything sent is to be sent again, one break richer if the server had it. Gives those that had too many. */
  putBackSent(maxBreaks: number): PendingImage[] {
    const givenUp: PendingImage[] = [];
    for (const { pending, isAccepted } of this.#sent.values()) {
      const broken = { ...pending, breakCount: pending.breakCount + (isAccepted ? 1 : 0) };
      if (broken.breakCount >= maxBreaks) {
        givenUp.push(broken);
      } else {
        this.#putBack.push({ pending: broken, dueMs: 0 });
      }
    }
    this.#sent.clear();
    return givenUp;
  }

  /** Lets the images go. */
  close(): void {
    this.#isSourceOver = true;
    this.#change.all();
    // Not awaited: it may be waiting for an image that never comes.
    void (async () => this.#source.return?.())().catch(() => undefined);
  }

  /** Counts it as sent. */
  async #next(over: AbortSignal): Promise<PendingImage | undefined> {
    while (!over.aborted) {
      if (this.#failure !== undefined) {
        throw this.#failure.error;
      }
      const nowMs = this.#deps.now();
      const isFree = !this.isPaused && this.#sent.size < this.#maxSent;
      const next = isFree ? (this.#takePutBack(nowMs) ?? this.#takeAhead()) : undefined;
      if (next !== undefined) {
        // In this very turn: a call that breaks in the next one must find it among those sent.
        this.#sent.set(next.image.id, { pending: next, isAccepted: false });
        return next;
      }
      if (this.#isSourceOver && this.#ahead === undefined && this.#putBack.length === 0 && this.#sent.size === 0) {
        return undefined;
      }
      if (isFree) {
        this.#pull();
      }
      await this.#changeOr(nowMs);
    }
    return undefined;
  }

  #takePutBack(nowMs: number): PendingImage | undefined {
    const at = this.#putBack.findIndex(({ dueMs }) => dueMs <= nowMs);
    return at < 0 ? undefined : this.#putBack.splice(at, 1)[0]?.pending;
  }

  #takeAhead(): PendingImage | undefined {
    const image = this.#ahead;
    this.#ahead = undefined;
    return image && { image, failureCount: 0, breakCount: 0 };
  }

  /** Asks for one more image, unless one is there or on its way. */
  #pull(): void {
    if (this.#isPulling || this.#isSourceOver || this.#ahead !== undefined) {
      return;
    }
    this.#isPulling = true;
    const pulled = (async () => {
      const next = await this.#source.next();
      if (next.done === true) {
        this.#isSourceOver = true;
      } else {
        this.#ahead = next.value;
      }
    })();
    void pulled
      .catch((error: unknown) => {
        this.#failure = { error };
      })
      .finally(() => {
        this.#isPulling = false;
        this.#change.all();
      });
  }

  /** Waits for a change, or until the pause is over or what was put back is due. */
  async #changeOr(nowMs: number): Promise<void> {
    const earliestMs = Math.min(...this.#putBack.map(({ dueMs }) => dueMs));
    const wakeMs = this.#pausedUntilMs > nowMs ? this.#pausedUntilMs : earliestMs;
    const changed = this.#change.next();
    if (!Number.isFinite(wakeMs) || wakeMs <= nowMs) {
      await changed;
      return;
    }
    const over = new AbortController();
    const slept = this.#deps.sleep(wakeMs - nowMs, over.signal).catch(() => undefined);
    await Promise.race([changed, slept]);
    over.abort();
  }
}
