import {
  type GetStatusResponse,
  InferenceServiceClient,
  type PredictRequest,
  type PredictResponse,
} from '../proto/gen/maskterial/inference/v1/inference_service.ts';
import { callServerStream, callUnary } from '../proto/wire/calls.ts';
import type { PatienceListener } from './batch/patience.ts';
import { predictBatch } from './batch/predict-batch.ts';
import { type ClientCallOptions, type ConnectionSettings, connect, createCaller } from './channel.ts';
import { bytesOf, type ImageSource, type PredictOptions, toOptionsMessage } from './predict-request.ts';
import { collectOutcomes, type ImageEvent, type ImageOutcome, predictStream, type StreamImage } from './predict-stream.ts';
import { collectFlakes, type PredictEvent, type Prediction } from './prediction.ts';
import { DEFAULT_RETRY, type RetryDeps, SYSTEM_RETRY_DEPS } from './retry.ts';

export { type ImageSource, MAX_IMAGE_BYTES, type PredictOptions } from './predict-request.ts';
export { MAX_BROKEN_CALLS, MAX_IMAGE_TRIES } from './batch/predict-batch.ts';
export type { ImageEvent, ImageOutcome, StreamImage } from './predict-stream.ts';
export { collectFlakes, type PredictEvent, type Prediction } from './prediction.ts';

const DEFAULT_RETRY_FOR_MS = 60_000;
const DEFAULT_SILENCE_MS = 300_000;

/** `retry` is the back-off between calls. */
export interface BatchOptions extends Omit<PredictOptions, 'timeoutMs'> {
  /** How long the server may be away or not ready, without a finished image in between; default 60 s. */
  readonly retryForMs?: number;
  /** The batch ends when there is no sign for this long while images wait for an answer; default 300 s. */
  readonly silenceMs?: number;
  /** The server is away or not ready, and is tried again for a while. */
  readonly onTrouble?: PatienceListener['onTrouble'];
  readonly onRecovery?: PatienceListener['onRecovery'];
}

/** Inference over gRPC. Everything throws ServiceError with the server's kind and reason. */
export interface InferenceClient {
  readonly address: string;
  /**
   * The events of one prediction as they come. Retried only as long as no event came: what the loop has seen is never taken back.
   * @throws invalid-argument IMAGE_TOO_LARGE before a file over the limit is read.
   */
  predict(image: ImageSource, options?: PredictOptions): AsyncIterable<PredictEvent>;
  /** The whole answer to one image. Predicting changes nothing, so a call that broke half-way is tried again from the start. */
  predictFlakes(image: ImageSource, options?: PredictOptions): Promise<Prediction>;
  /**
   * Many images over one call: events as they come, tagged with the image's id; the last one of each image is its summary or its
   * error. An image fails alone, also one whose file cannot be read. `images` is asked for the next one no faster than the
   * server takes them, and the server works no faster than the loop runs. Only `timeoutMs` in `options` bounds the call.
   * Never retried: when the call breaks it throws, and images without a last event may be sent again.
   * @throws invalid-argument INVALID_REQUEST for an id that is in use.
   */
  predictStream(images: AsyncIterable<StreamImage> | Iterable<StreamImage>, options?: PredictOptions): AsyncIterable<ImageEvent>;
  /** The same, as one whole outcome an image, in order of completion. */
  predictAll(images: AsyncIterable<StreamImage> | Iterable<StreamImage>, options?: PredictOptions): AsyncIterable<ImageOutcome>;
  /**
   * The same for batches that shall outlive a restart of the server: a call that breaks is followed by another one, with the
   * images that have no outcome yet. So a source is read again each time it is sent. An image that fails with an error that may
   * pass, such as a crash of its engine, is tried three times; one that the server had in hand when five calls broke is given up.
   * @throws the server's error when it was away for `retryForMs`.
   */
  predictBatch(images: AsyncIterable<StreamImage> | Iterable<StreamImage>, options?: BatchOptions): AsyncIterable<ImageOutcome>;
  getStatus(options?: ClientCallOptions): Promise<GetStatusResponse>;
  close(): void;
}

export function createInferenceClient(settings: ConnectionSettings, deps: RetryDeps = SYSTEM_RETRY_DEPS): InferenceClient {
  const stub = connect(InferenceServiceClient, settings);
  const { call, explain } = createCaller('inference server', settings, deps);

  const openStream = async function* (
    images: AsyncIterable<StreamImage> | Iterable<StreamImage>,
    options: PredictOptions = {},
  ): AsyncGenerator<ImageEvent> {
    try {
      yield* predictStream(stub.predictStream.bind(stub), images, options);
    } catch (error) {
      throw explain(error);
    }
  };

  return {
    address: settings.address,
    async *predict(image, options = {}) {
      const request = await requestOf(image, options);
      const { stream, first } = await call(async (bounds) => {
        const opened = eventsOf(callServerStream(stub.predict.bind(stub), request, bounds))[Symbol.asyncIterator]();
        return { stream: opened, first: await opened.next() };
      }, options);
      try {
        for (let next = first; next.done !== true; next = await stream.next()) {
          yield next.value;
        }
      } catch (error) {
        throw explain(error);
      } finally {
        await stream.return(undefined);
      }
    },
    async predictFlakes(image, options = {}) {
      const request = await requestOf(image, options);
      return call((bounds) => collectFlakes(eventsOf(callServerStream(stub.predict.bind(stub), request, bounds))), options);
    },
    predictStream: openStream,
    predictAll: (images, options) => collectOutcomes(openStream(images, options)),
    predictBatch: (images, options = {}) => {
      const { retryForMs = DEFAULT_RETRY_FOR_MS, silenceMs = DEFAULT_SILENCE_MS, onTrouble, onRecovery } = options;
      const { retry = settings.retry ?? DEFAULT_RETRY } = options;
      const batch = { retryForMs, silenceMs, retry, signal: options.signal, onTrouble, onRecovery };
      return predictBatch((sent, signal) => openStream(sent, { ...options, signal }), images, batch, deps);
    },
    getStatus: (options) => call((bounds) => callUnary(stub.getStatus.bind(stub), {}, bounds), options),
    close: () => stub.close(),
  };
}

async function* eventsOf(responses: AsyncIterable<PredictResponse>): AsyncGenerator<PredictEvent, undefined> {
  for await (const { event } of responses) {
    // A later release's event that this one does not know has no case.
    if (event !== undefined) {
      yield event;
    }
  }
  return undefined;
}

async function requestOf(image: ImageSource, options: PredictOptions): Promise<PredictRequest> {
  return { image: await bytesOf(image), options: toOptionsMessage(options) };
}
