import type { UsedModel } from '../../proto/gen/maskterial/inference/v1/inference_service.ts';
import { ServiceError } from '../../proto/wire/errors.ts';
import { Patience, type PatienceSettings, type PatienceListener } from '../batch/patience.ts';
import type { PredictEvent } from '../prediction.ts';
import { isRetryable, type RetryDeps } from '../retry.ts';

/**
 * The versions that answer a request now, whatever its models are named by: a prediction that is left as soon as it was accepted
 * says it. A server that is away or not ready is waited for as it is by a batch.
 */
export async function askServingVersions(
  predict: () => AsyncIterable<PredictEvent>,
  settings: PatienceSettings & PatienceListener & { readonly signal: AbortSignal },
  deps: RetryDeps,
): Promise<readonly UsedModel[]> {
  const patience = new Patience(settings, deps, settings);
  for (;;) {
    try {
      const models = await firstAccepted(predict());
      patience.noteProgress();
      return models;
    } catch (error) {
      if (!isRetryable(error)) {
        throw error;
      }
      await deps.sleep(patience.delayAfter(error), settings.signal);
    }
  }
}

async function firstAccepted(events: AsyncIterable<PredictEvent>): Promise<readonly UsedModel[]> {
  for await (const event of events) {
    if (event.$case === 'accepted') {
      return event.value.models;
    }
  }
  throw new ServiceError('internal', 'INTERNAL', 'the server did not say which versions answer');
}
