import type { ClientDuplexStream, Metadata } from '@grpc/grpc-js';
import type { PredictStreamRequest, PredictStreamResponse } from '../proto/gen/maskterial/inference/v1/inference_service.ts';
import { callBidiStream } from '../proto/wire/calls.ts';
import { messagesOf } from '../proto/wire/chunks.ts';
import { invalid, isServiceError, ServiceError } from '../proto/wire/errors.ts';
import { fromRpcStatus } from '../proto/wire/status.ts';
import { bytesOf, type ImageSource, type PredictOptions, toOptionsMessage } from './predict-request.ts';
import { collectFlakes, type PredictEvent, type Prediction } from './prediction.ts';

export interface StreamImage {
  /** 1 to 200 bytes, unlike that of any image whose last event is still to come. */
  readonly id: string;
  readonly image: ImageSource;
}

export interface ImageEvent {
  readonly imageId: string;
  readonly event: PredictEvent | { readonly $case: 'error'; readonly value: ServiceError };
}

export type ImageOutcome =
  | { readonly imageId: string; readonly prediction: Prediction }
  | { readonly imageId: string; readonly error: ServiceError };

type Open = (metadata: Metadata, options: { deadline?: Date }) => ClientDuplexStream<PredictStreamRequest, PredictStreamResponse>;

/** One PredictStream call; see InferenceClient.predictStream. */
export async function* predictStream(
  open: Open,
  images: AsyncIterable<StreamImage> | Iterable<StreamImage>,
  options: PredictOptions,
): AsyncGenerator<ImageEvent> {
  const unsent = new UnsentImages();
  const live = new Set<string>();
  const leaving = new AbortController();
  const signal = options.signal === undefined ? leaving.signal : AbortSignal.any([options.signal, leaving.signal]);
  const responses = callBidiStream(open, requestsOf(images, options, live, unsent), { ...options, signal });
  let incoming = responses.next();
  try {
    for (;;) {
      // Whatever the server is doing, what never reached it is told at once.
      const next = unsent.take() ?? (await Promise.race([incoming, unsent.arrival()]));
      if (next === undefined) {
        continue;
      }
      if ('imageId' in next) {
        yield next;
      } else if (next.done === true) {
        yield* unsent.takeAll();
        checkComplete(live);
        return;
      } else {
        const event = toImageEvent(next.value);
        if (event?.event.$case === 'summary' || event?.event.$case === 'error') {
          live.delete(event.imageId);
        }
        if (event !== undefined) {
          yield event;
        }
        incoming = responses.next();
      }
    }
  } finally {
    incoming.catch(() => undefined);
    leaving.abort();
    await responses.return(undefined);
  }
}

/** One outcome an image, in order of completion. */
export async function* collectOutcomes(events: AsyncIterable<ImageEvent>): AsyncGenerator<ImageOutcome> {
  const collected = new Map<string, PredictEvent[]>();
  for await (const { imageId, event } of events) {
    if (event.$case === 'error') {
      collected.delete(imageId);
      yield { imageId, error: event.value };
      continue;
    }
    const before = collected.get(imageId) ?? [];
    before.push(event);
    collected.set(imageId, before);
    if (event.$case === 'summary') {
      collected.delete(imageId);
      yield await outcomeOf(imageId, before);
    }
  }
}

async function outcomeOf(imageId: string, events: readonly PredictEvent[]): Promise<ImageOutcome> {
  try {
    return { imageId, prediction: await collectFlakes(events) };
  } catch (error) {
    if (isServiceError(error)) {
      return { imageId, error };
    }
    throw error;
  }
}

/** Images that failed on this side. */
class UnsentImages {
  readonly #events: ImageEvent[] = [];
  #wake: (() => void) | undefined;

  add(imageId: string, error: ServiceError): void {
    this.#events.push({ imageId, event: { $case: 'error', value: error } });
    this.#wake?.();
  }

  take(): ImageEvent | undefined {
    return this.#events.shift();
  }

  takeAll(): ImageEvent[] {
    return this.#events.splice(0);
  }

  arrival(): Promise<undefined> {
    return new Promise((resolve) => {
      this.#wake = () => resolve(undefined);
    });
  }
}

async function* requestsOf(
  images: AsyncIterable<StreamImage> | Iterable<StreamImage>,
  options: PredictOptions,
  live: Set<string>,
  unsent: UnsentImages,
): AsyncGenerator<PredictStreamRequest> {
  for await (const { id, image } of images) {
    if (live.has(id)) {
      throw invalid([{ field: 'id', description: `"${id}" is the id of an image without an answer yet` }]);
    }
    const bytes = await readOr(image, (error) => unsent.add(id, error));
    if (bytes !== undefined) {
      live.add(id);
      yield { request: { $case: 'begin', value: { imageId: id, options: toOptionsMessage(options) } } };
      for (const chunk of messagesOf(bytes)) {
        if (!live.has(id)) {
          // It failed already; the server drops the rest, up to its end.
          break;
        }
        yield { request: { $case: 'chunk', value: chunk } };
      }
      yield { request: { $case: 'end', value: {} } };
    }
  }
}

async function readOr(image: ImageSource, fail: (error: ServiceError) => void): Promise<Buffer | undefined> {
  try {
    return await bytesOf(image);
  } catch (error) {
    if (!isServiceError(error)) {
      throw error;
    }
    fail(error);
    return undefined;
  }
}

function toImageEvent({ imageId, event }: PredictStreamResponse): ImageEvent | undefined {
  // A later release's event that this one does not know has no case.
  if (event === undefined) {
    return undefined;
  }
  return { imageId, event: event.$case === 'error' ? { $case: 'error', value: fromRpcStatus(event.value) } : event };
}

/** An answer that is missing is never silently missing. */
function checkComplete(live: ReadonlySet<string>): void {
  const [first] = live;
  if (first !== undefined) {
    throw new ServiceError('internal', 'INTERNAL', `the stream ended without an answer to ${live.size} images, "${first}" first`);
  }
}
