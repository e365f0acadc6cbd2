import type { PredictRequest, PredictResponse } from '../../proto/gen/maskterial/inference/v1/inference_service.ts';
import type { CallContext } from '../../proto/wire/handlers.ts';
import { type PipelineSet, type PredictImageDeps, predictImage } from '../pipeline/predict-image.ts';
import { toMessages } from './predict-events.ts';
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
    context.annotate({ imageBytes: message.image.byteLength });
    const request = { ...parsePredictRequest(message, limits), deadlineMs: context.deadlineMs };
    for await (const event of predictImage(request, deps, context.signal)) {
      yield* toMessages(event, request, context);
    }
  };
}
