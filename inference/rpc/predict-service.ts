import type { PredictRequest, PredictResponse } from '../../proto/gen/maskterial/inference/v1/inference_service.ts';
import type { CallContext } from '../../proto/wire/handlers.ts';
import { type ImageEvent, type PipelineSet, type PredictImageDeps, predictImage } from '../pipeline/predict-image.ts';
import { flakeEvent, progressEvent, toSummary, toUsedModel } from './convert.ts';
import { parsePredictRequest } from './predict-request.ts';

export interface PredictLimits {
  readonly maxImageBytes: number;
}

/** The Predict method: parse, run, convert. */
export function createPredict<G extends PipelineSet>(
  deps: PredictImageDeps<G>,
  limits: PredictLimits,
): (request: PredictRequest, context: CallContext) => AsyncGenerator<PredictResponse> {
  return async function* predict(message, context) {
    const request = { ...parsePredictRequest(message, limits), deadlineMs: context.deadlineMs };
    for await (const event of predictImage(request, deps, context.signal)) {
      yield* toMessages(event, request, context);
    }
  };
}

function* toMessages(
  event: ImageEvent,
  request: ReturnType<typeof parsePredictRequest>,
  context: CallContext,
): Generator<PredictResponse> {
  const { requestId } = context;
  switch (event.kind) {
    case 'loading': {
      const { model, version } = event.key;
      yield { event: { $case: 'loading', value: { model, version } } };
      break;
    }
    case 'accepted': {
      const models = event.models.map(toUsedModel);
      context.annotate({ models: models.map(({ model, version }) => `${model}:${version}`) });
      yield { event: { $case: 'accepted', value: { models, requestId } } };
      break;
    }
    case 'stage':
      yield progressEvent(event.stage);
      break;
    case 'answered': {
      const { answer, models, queueMs } = event;
      context.annotate({ flakes: answer.flakes.length, imageBytes: request.image.byteLength });
      for (const [index, flake] of answer.flakes.entries()) {
        yield flakeEvent(flake, index);
      }
      const summary = toSummary(answer, { ...request, requestId, queueMs }, models.map(toUsedModel));
      yield { event: { $case: 'summary', value: summary } };
      break;
    }
  }
}
