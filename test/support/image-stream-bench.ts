import type { TestContext } from 'node:test';
import { EventQueue } from '../../inference/pipeline/event-queue.ts';
import { imageStream } from '../../inference/pipeline/image-stream.ts';
import type { StreamCommand, StreamEvent } from '../../inference/pipeline/stream-contract.ts';
import { StreamRoom } from '../../inference/pipeline/stream-room.ts';
import { abortError, isServiceError } from '../../proto/wire/errors.ts';
import { type Deferred, deferred } from './deferred.ts';
import { eventually } from './eventually.ts';

/** One image in work: a test settles its outcome; aborting it rejects it. */
export interface Work {
  readonly text: string;
  readonly signal: AbortSignal;
  readonly outcome: Deferred<void>;
}

/** A stream over a pipeline that a test steps by hand; each image answers `began` and then `done`. */
export class ImageStreamBench {
  readonly commands: EventQueue<StreamCommand<string>> = new EventQueue();
  readonly works: Work[] = [];
  readonly told: string[] = [];
  readonly call: AbortController = new AbortController();
  readonly shutdown: AbortController = new AbortController();
  readonly events: AsyncGenerator<StreamEvent<string>>;
  /** Commands that the stream asked for. */
  asked = 0;

  constructor(t: TestContext, settings = { maxImagesAtOnce: 2, maxImageBytes: 10 }, room = new StreamRoom(1000)) {
    const predict = (image: Uint8Array, options: string, signal: AbortSignal) => this.#predict(image, options, signal);
    const signals = { signal: this.call.signal, shutdown: this.shutdown.signal };
    const isLast = (event: string) => event === 'done';
    this.events = imageStream(this.#counted(), { predict, isLast, room }, settings, signals);
    t.after(() => {
      this.call.abort();
      this.commands.end();
    });
  }

  begin(imageId: string): void {
    this.commands.push({ kind: 'begin', imageId, options: 'o' });
  }

  chunk(text: string): void {
    this.commands.push({ kind: 'chunk', data: Buffer.from(text) });
  }

  end(): void {
    this.commands.push({ kind: 'end' });
  }

  cancel(imageId: string): void {
    this.commands.push({ kind: 'cancel', imageId });
  }

  /** Whole images whose bytes are their ids. */
  send(...imageIds: readonly string[]): void {
    for (const imageId of imageIds) {
      this.begin(imageId);
      this.chunk(imageId);
      this.end();
    }
  }

  /** The work on an image, once it began. */
  async work(text: string): Promise<Work> {
    const find = (): Work | undefined => this.works.findLast((work) => work.text === text);
    await eventually(() => find() !== undefined);
    return find() ?? (await this.work(text));
  }

  async finish(...texts: readonly string[]): Promise<void> {
    for (const text of texts) {
      (await this.work(text)).outcome.resolve();
    }
  }

  /** Takes events until the stream ends; they are in `told` as they come: `id event` or `id reason`. */
  async read(): Promise<readonly string[]> {
    for await (const event of this.events) {
      this.told.push(`${event.imageId} ${event.kind === 'event' ? event.event : reasonOf(event.error)}`);
    }
    return this.told;
  }

  async untilTold(...lines: readonly string[]): Promise<void> {
    await eventually(() => lines.every((line) => this.told.includes(line)));
  }

  async *#counted(): AsyncGenerator<StreamCommand<string>> {
    for await (const command of this.commands) {
      this.asked += 1;
      yield command;
    }
  }

  async *#predict(image: Uint8Array, _options: string, signal: AbortSignal): AsyncGenerator<string> {
    const outcome = deferred();
    signal.addEventListener('abort', () => outcome.reject(abortError(signal)), { once: true });
    outcome.promise.catch(() => undefined);
    this.works.push({ text: Buffer.from(image).toString(), signal, outcome });
    yield 'began';
    await outcome.promise;
    yield 'done';
  }
}

function reasonOf(error: unknown): string {
  return isServiceError(error) ? error.reason : String(error);
}
