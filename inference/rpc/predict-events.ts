import type { PredictResponse } from '../../proto/gen/maskterial/inference/v1/inference_service.ts';
import type { CallContext } from '../../proto/wire/handlers.ts';
import type { ImageEvent, ImageRequest } from '../pipeline/predict-image.ts';
import { flakeEvent, progressEvent, toSummary, toUsedModel } from './convert.ts';

/** What one event of an image's pipeline is for the caller: one message, or a message a flake and the summary. */
export function* toMessages(
  event: ImageEvent,
  request: ImageRequest,
  context: Pick<CallContext, 'requestId' | 'annotate'>,
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
      context.annotate({ flakes: answer.flakes.length });
      for (const [index, flake] of answer.flakes.entries()) {
        yield flakeEvent(flake, index);
      }
      const summary = toSummary(answer, { ...request, requestId, queueMs }, models.map(toUsedModel));
      yield { event: { $case: 'summary', value: summary } };
      break;
    }
  }
}
