import { invalid, ServiceError, throwIfAborted } from '../../proto/wire/errors.ts';
import { orAbort } from '../cache/abort.ts';
import { ImageBytes } from './image-bytes.ts';
import type { ImageSlots, LiveImage } from './image-slots.ts';
import type { ImageStreamSettings, StreamCommand } from './stream-contract.ts';

/** Ids are repeated in every event and named in errors. */
const MAX_ID_BYTES = 200;

/** The image that is being sent; without `image` its bytes are dropped: it failed already. */
interface Arriving<O> {
  readonly image: LiveImage<O> | undefined;
  readonly bytes: ImageBytes;
}

/** Follows the commands of one stream and gives whole images to its slots. */
export class ImageIntake<O, E> {
  readonly #slots: ImageSlots<O, E>;
  readonly #maxImageBytes: number;
  readonly #signal: AbortSignal;
  readonly #shutdown: AbortSignal;
  readonly #leaving = new AbortController();
  /** No more images are begun. Not of `shutdown` itself, which lives as long as the server and would keep every stream's. */
  readonly #noMore: AbortSignal;
  #arriving: Arriving<O> | undefined;

  constructor(slots: ImageSlots<O, E>, { maxImageBytes }: ImageStreamSettings, signal: AbortSignal, shutdown: AbortSignal) {
    this.#slots = slots;
    this.#maxImageBytes = maxImageBytes;
    this.#signal = signal;
    this.#shutdown = shutdown;
    this.#noMore = AbortSignal.any([signal, this.#leaving.signal]);
  }

  /**
   * Returns once the commands ended and every image has told its last event.
   * @throws as imageStream does.
   */
  async run(commands: AsyncIterable<StreamCommand<O>>): Promise<void> {
    const source = commands[Symbol.asyncIterator]();
    const over = new AbortController();
    const either = AbortSignal.any([this.#signal, over.signal]);
    // Rejected only where the whole stream is aborted, which ends the reading too.
    const onShutdown = (): void => void this.#leave(over).catch(() => undefined);
    this.#shutdown.addEventListener('abort', onShutdown, { once: true });
    if (this.#shutdown.aborted) {
      onShutdown();
    }
    try {
      for (;;) {
        const next = await orAbort(source.next(), either);
        if (next.done === true) {
          break;
        }
        await this.#obey(next.value);
        this.#slots.noteChange();
      }
      await this.#failCutOff();
      await this.#slots.finished();
      throwIfAborted(this.#signal);
    } finally {
      this.#shutdown.removeEventListener('abort', onShutdown);
      // Not awaited: it may be waiting for a command that never comes.
      void source.return?.().catch(() => undefined);
    }
  }

  /**
   * At shutdown: fails the image that is being sent, since its end may never come, and ends the reading once no image is in hand.
   */
  async #leave(over: AbortController): Promise<void> {
    this.#leaving.abort();
    const image = this.#arriving?.image;
    if (image !== undefined) {
      await this.#drop(image, shuttingDown());
    }
    await this.#slots.until(() => this.#slots.isIdle);
    over.abort(shuttingDown());
  }

  async #obey(command: StreamCommand<O>): Promise<void> {
    switch (command.kind) {
      case 'begin':
        checkId(command.imageId, 'begin.image_id');
        await this.#begin(command.imageId, command.options);
        break;
      case 'chunk':
        await this.#append(command.data);
        break;
      case 'end':
        this.#end();
        break;
      case 'cancel':
        checkId(command.imageId, 'cancel.image_id');
        await this.#cancel(command.imageId);
        break;
    }
  }

  async #begin(imageId: string, options: O): Promise<void> {
    if (this.#arriving?.image !== undefined) {
      throw violation('begin', `"${imageId}" begins before the end of "${this.#arriving.image.imageId}"`);
    }
    const bytes = new ImageBytes(this.#maxImageBytes);
    this.#arriving = { image: undefined, bytes };
    // What this stream may hold is held: the images on their way stay in the transport, and in time with the caller.
    // At a shutdown too: the image is refused then.
    await this.#slots.untilRoom(this.#noMore).catch(() => throwIfAborted(this.#signal));
    if (this.#shutdown.aborted) {
      await this.#slots.refuse(imageId, shuttingDown());
    } else if (this.#slots.find(imageId) === undefined) {
      this.#arriving = { image: this.#slots.admit(imageId, options), bytes };
    } else {
      await this.#slots.refuse(imageId, violation('begin.image_id', `"${imageId}" is the id of an image without an answer yet`));
    }
  }

  async #append(data: Uint8Array): Promise<void> {
    if (this.#arriving === undefined) {
      throw violation('chunk', 'a chunk without a begin');
    }
    const { image, bytes } = this.#arriving;
    if (image === undefined) {
      return;
    }
    try {
      bytes.append(data);
      this.#slots.hold(image, data.byteLength);
    } catch (error) {
      await this.#drop(image, error);
    }
  }

  #end(): void {
    if (this.#arriving === undefined) {
      throw violation('end', 'an end without a begin');
    }
    const { image, bytes } = this.#arriving;
    this.#arriving = undefined;
    if (image !== undefined) {
      this.#slots.start(image, bytes.take());
    }
  }

  async #cancel(imageId: string): Promise<void> {
    const image = this.#slots.find(imageId);
    if (image !== undefined && image === this.#arriving?.image) {
      await this.#drop(image, new ServiceError('cancelled', 'CANCELLED', `the caller cancelled "${imageId}"`));
    } else if (image !== undefined) {
      await this.#slots.cancel(image);
    }
  }

  async #failCutOff(): Promise<void> {
    const image = this.#arriving?.image;
    if (image !== undefined) {
      await this.#drop(image, violation('end', `the stream ended before the end of "${image.imageId}"`));
    }
  }

  /** Fails the image that is being sent, lets its bytes go and drops what still comes of it. */
  async #drop(image: LiveImage<O>, error: unknown): Promise<void> {
    this.#arriving = { image: undefined, bytes: new ImageBytes(0) };
    await this.#slots.fail(image, error);
  }
}

function checkId(imageId: string, field: string): void {
  const bytes = Buffer.byteLength(imageId);
  if (bytes === 0 || bytes > MAX_ID_BYTES) {
    throw violation(field, `expected 1 to ${MAX_ID_BYTES} bytes, found ${bytes}`);
  }
}

function violation(field: string, description: string): ServiceError {
  return invalid([{ field, description }]);
}

function shuttingDown(): ServiceError {
  return new ServiceError('unavailable', 'SHUTTING_DOWN', 'the server is shutting down');
}
