import { readFile, stat } from 'node:fs/promises';
import type { Flake } from '../proto/gen/maskterial/inference/v1/flake.ts';
import {
  type Accepted,
  type GetStatusResponse,
  InferenceServiceClient,
  type PredictRequest,
  type PredictResponse,
  Priority,
  type Summary,
} from '../proto/gen/maskterial/inference/v1/inference_service.ts';
import { callServerStream, callUnary } from '../proto/wire/calls.ts';
import { ServiceError } from '../proto/wire/errors.ts';
import { type ClientCallOptions, type ConnectionSettings, connect, createCaller } from './channel.ts';
import { type RetryDeps, SYSTEM_RETRY_DEPS } from './retry.ts';

/** What one Predict request may hold; the server has the same limit. */
export const MAX_IMAGE_BYTES = 32 * 1024 * 1024;

const PRIORITIES = {
  high: Priority.PRIORITY_HIGH,
  normal: Priority.PRIORITY_UNSPECIFIED,
  low: Priority.PRIORITY_LOW,
} as const;

/** An encoded image (JPEG, PNG, TIFF, WebP): its bytes, or a file that has them. */
export type ImageSource = Uint8Array | { readonly path: string };

/** Model references are `NAME` (its alias "production"), `NAME@alias` or `NAME:version`; at least one of the first two. */
export interface PredictOptions extends ClientCallOptions {
  readonly segmentation?: string | undefined;
  readonly classification?: string | undefined;
  readonly postprocessing?: string | undefined;
  /** In [0, 1]; the server's default is 0.3. */
  readonly scoreThreshold?: number | undefined;
  /** In [0, 1]; the server's default is 0.5. */
  readonly minClassOccupancy?: number | undefined;
  /** In pixels; the server's default is 200. */
  readonly sizeThreshold?: number | undefined;
  /** Without it there are no areas in um^2. */
  readonly umPerPx?: number | undefined;
  /** Adds the original's record to each flake. */
  readonly includeReference?: boolean | undefined;
  /** Among the images that wait for an engine; unset is normal. */
  readonly priority?: 'high' | 'low' | undefined;
}

export type PredictEvent = NonNullable<PredictResponse['event']>;

/** A whole answer. */
export interface Prediction {
  readonly accepted: Accepted;
  readonly flakes: readonly Flake[];
  readonly summary: Summary;
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
  getStatus(options?: ClientCallOptions): Promise<GetStatusResponse>;
  close(): void;
}

export function createInferenceClient(settings: ConnectionSettings, deps: RetryDeps = SYSTEM_RETRY_DEPS): InferenceClient {
  const stub = connect(InferenceServiceClient, settings);
  const { call, explain } = createCaller('inference server', settings, deps);

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
    getStatus: (options) => call((bounds) => callUnary(stub.getStatus.bind(stub), {}, bounds), options),
    close: () => stub.close(),
  };
}

/**
 * The whole answer in a stream of events; flakes in the order they came.
 * @throws ServiceError internal when the stream ended before its summary, or with fewer flakes than the summary counts: an
 *   answer is never silently shorter than what the server found.
 */
export async function collectFlakes(events: AsyncIterable<PredictEvent>): Promise<Prediction> {
  let accepted: Accepted | undefined;
  let summary: Summary | undefined;
  const flakes: Flake[] = [];
  for await (const event of events) {
    switch (event.$case) {
      case 'accepted':
        accepted = event.value;
        break;
      case 'flake':
        flakes.push(event.value);
        break;
      case 'summary':
        summary = event.value;
        break;
      case 'loading':
      case 'progress':
        break;
    }
  }
  if (accepted === undefined || summary === undefined || summary.flakeCount !== flakes.length) {
    const found =
      summary === undefined ? `no summary after ${flakes.length} flakes` : `${flakes.length} of ${summary.flakeCount} flakes`;
    throw new ServiceError('internal', 'INTERNAL', `the answer was cut off: ${accepted === undefined ? 'not accepted' : found}`);
  }
  return { accepted, flakes, summary };
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
  const { scoreThreshold, minClassOccupancy, sizeThreshold } = options;
  return {
    image: await bytesOf(image),
    options: {
      pipeline: {
        segmentationModel: options.segmentation ?? '',
        classificationModel: options.classification ?? '',
        postprocessingModel: options.postprocessing ?? '',
      },
      thresholds: { scoreThreshold, minClassOccupancy, sizeThreshold },
      umPerPx: options.umPerPx,
      includeReference: options.includeReference ?? false,
      priority: PRIORITIES[options.priority ?? 'normal'],
    },
  };
}

async function bytesOf(image: ImageSource): Promise<Buffer> {
  if (image instanceof Uint8Array) {
    checkSize('the image', image.byteLength);
    return Buffer.from(image.buffer, image.byteOffset, image.byteLength);
  }
  try {
    checkSize(image.path, (await stat(image.path)).size);
    return await readFile(image.path);
  } catch (error) {
    if (error instanceof ServiceError) {
      throw error;
    }
    throw new ServiceError('invalid-argument', 'UNREADABLE_FILE', `cannot read ${image.path}: ${describe(error)}`, {
      cause: error,
    });
  }
}

function checkSize(name: string, sizeBytes: number): void {
  if (sizeBytes > MAX_IMAGE_BYTES) {
    throw new ServiceError('invalid-argument', 'IMAGE_TOO_LARGE', `${name}: ${sizeBytes} bytes, at most ${MAX_IMAGE_BYTES}`);
  }
}

function describe(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : String(error);
}
