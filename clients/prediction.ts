import type { Flake } from '../proto/gen/maskterial/inference/v1/flake.ts';
import type { Accepted, PredictResponse, Summary } from '../proto/gen/maskterial/inference/v1/inference_service.ts';
import { ServiceError } from '../proto/wire/errors.ts';

export type PredictEvent = NonNullable<PredictResponse['event']>;

/** A whole answer. */
export interface Prediction {
  readonly accepted: Accepted;
  readonly flakes: readonly Flake[];
  readonly summary: Summary;
}

/** What was found and by what: all that is kept of an answer. */
export type Answer = Pick<Prediction, 'flakes' | 'summary'>;

/**
 * The whole answer in a stream of events; flakes in the order they came.
 * @throws ServiceError internal when the stream ended before its summary, or with fewer flakes than the summary counts: an
 *   answer is never silently shorter than what the server found.
 */
export async function collectFlakes(events: AsyncIterable<PredictEvent> | Iterable<PredictEvent>): Promise<Prediction> {
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
