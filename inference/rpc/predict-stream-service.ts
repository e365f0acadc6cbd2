import type {
  PredictOptions,
  PredictResponse,
  PredictStreamRequest,
  PredictStreamResponse,
} from '../../proto/gen/maskterial/inference/v1/inference_service.ts';
import { invalid } from '../../proto/wire/errors.ts';
import type { CallContext } from '../../proto/wire/handlers.ts';
import { toRpcStatus } from '../../proto/wire/status.ts';
import { imageStream } from '../pipeline/image-stream.ts';
import { type PipelineSet, type PredictImageDeps, predictImage } from '../pipeline/predict-image.ts';
import type { ImageStreamSettings, StreamCommand, StreamEvent } from '../pipeline/stream-contract.ts';
import type { StreamRoom } from '../pipeline/stream-room.ts';
import { toMessages } from './predict-events.ts';
import { parsePredictRequest } from './predict-request.ts';
import { StreamTally } from './stream-tally.ts';

/** A stream's images wait for an engine; they are not refused. */
type PredictStreamDeps<G extends PipelineSet> = Required<PredictImageDeps<G>>;

/** The PredictStream method: parse, run, convert. The call's log line counts its images. */
export function createPredictStream<G extends PipelineSet>(
  deps: PredictStreamDeps<G>,
  settings: ImageStreamSettings,
  room: StreamRoom,
): (requests: AsyncIterable<PredictStreamRequest>, context: CallContext) => AsyncGenerator<PredictStreamResponse> {
  return async function* predictStream(requests, context) {
    const { requestId, deadlineMs } = context;
    const tally = new StreamTally(context);
    const predict = async function* (
      image: Uint8Array,
      options: PredictOptions | undefined,
      signal: AbortSignal,
    ): AsyncGenerator<PredictResponse> {
      tally.received(image.byteLength);
      const request = { ...parsePredictRequest({ image, options }, settings), deadlineMs };
      for await (const event of predictImage(request, deps, signal)) {
        yield* toMessages(event, request, { requestId, annotate: () => undefined });
      }
    };
    for await (const event of imageStream(commandsOf(requests), { predict, isLast, room }, settings, context)) {
      if (event.kind === 'failed') {
        tally.failed(event.error);
      } else {
        tally.told(event.event);
      }
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
