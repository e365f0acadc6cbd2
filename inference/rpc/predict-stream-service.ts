import type {
  PredictOptions,
  PredictResponse,
  PredictStreamRequest,
  PredictStreamResponse,
} from '../../proto/gen/maskterial/inference/v1/inference_service.ts';
import { invalid, isServiceError } from '../../proto/wire/errors.ts';
import type { CallContext } from '../../proto/wire/handlers.ts';
import { toRpcStatus } from '../../proto/wire/status.ts';
import { imageStream } from '../pipeline/image-stream.ts';
import { type PipelineSet, type PredictImageDeps, predictImage } from '../pipeline/predict-image.ts';
import type { ImageStreamSettings, StreamCommand, StreamEvent } from '../pipeline/stream-contract.ts';
import { toMessages } from './predict-events.ts';
import { parsePredictRequest } from './predict-request.ts';

/** A stream's images wait for an engine; they are not refused. */
type PredictStreamDeps<G extends PipelineSet> = Required<PredictImageDeps<G>>;

/** The PredictStream method: parse, run, convert. The call's log line counts its images and keeps the last foreign error. */
export function createPredictStream<G extends PipelineSet>(
  deps: PredictStreamDeps<G>,
  settings: ImageStreamSettings,
): (requests: AsyncIterable<PredictStreamRequest>, context: CallContext) => AsyncGenerator<PredictStreamResponse> {
  return async function* predictStream(requests, context) {
    const { requestId } = context;
    const predict = async function* (
      image: Uint8Array,
      options: PredictOptions | undefined,
      signal: AbortSignal,
    ): AsyncGenerator<PredictResponse> {
      const request = parsePredictRequest({ image, options }, settings);
      for await (const event of predictImage(request, deps, signal)) {
        yield* toMessages(event, request, { requestId, annotate: () => undefined });
      }
    };
    const counts = { images: 0, failedImages: 0 };
    context.annotate(counts);
    for await (const event of imageStream(commandsOf(requests), { predict, isLast }, settings, context)) {
      count(event, counts, context);
      yield toResponse(event);
    }
  };
}

function isLast({ event }: PredictResponse): boolean {
  return event?.$case === 'summary';
}

async function* commandsOf(
  requests: AsyncIterable<PredictStreamRequest>,
): AsyncGenerator<StreamCommand<PredictOptions | undefined>> {
  for await (const { request } of requests) {
    switch (request?.$case) {
      case 'begin':
        yield { kind: 'begin', imageId: request.value.imageId, options: request.value.options };
        break;
      case 'chunk':
        yield { kind: 'chunk', data: request.value };
        break;
      case 'end':
        yield { kind: 'end' };
        break;
      case 'cancel':
        yield { kind: 'cancel', imageId: request.value.imageId };
        break;
      case undefined:
        throw invalid([{ field: 'request', description: 'expected begin, chunk, end or cancel, found none of them' }]);
    }
  }
}

function toResponse(message: StreamEvent<PredictResponse>): PredictStreamResponse {
  const { imageId } = message;
  return message.kind === 'failed'
    ? { imageId, event: { $case: 'error', value: toRpcStatus(message.error) } }
    : { imageId, event: message.event.event };
}

function count(
  message: StreamEvent<PredictResponse>,
  counts: { images: number; failedImages: number },
  context: CallContext,
): void {
  if (message.kind === 'failed') {
    counts.images += 1;
    counts.failedImages += 1;
    const { error } = message;
    if (!isServiceError(error)) {
      // The caller is told INTERNAL and nothing else, so the log has to say what it was.
      context.annotate({ imageError: error instanceof Error ? error.stack : String(error) });
    }
  } else if (isLast(message.event)) {
    counts.images += 1;
  }
  context.annotate(counts);
}
