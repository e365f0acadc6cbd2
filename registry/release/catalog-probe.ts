import { ServiceError } from '../../proto/wire/errors.ts';
import type { ChangeFeed } from './catalog.ts';
import type { Clock } from './clock.ts';
import { waitEither } from './wait-either.ts';

export interface CatalogProbeDeps {
  readonly catalog: Pick<ChangeFeed, 'feedHead'>;
  readonly clock: Clock;
  /** Told once when the catalog cannot be reached any more, with why, and once when it can again. */
  readonly onChange: (error: unknown) => void;
}

export interface CatalogProbeSettings {
  readonly everyMs: number;
  /** No answer within this is none. */
  readonly timeoutMs: number;
}

/** Asks the catalog its cheapest question again and again, until `signal` aborts. It counts as reachable before the first. */
export async function probeCatalog(
  { catalog, clock, onChange }: CatalogProbeDeps,
  { everyMs, timeoutMs }: CatalogProbeSettings,
  signal: AbortSignal,
): Promise<void> {
  let isReachable = true;
  while (!signal.aborted) {
    const error = await ask(catalog, clock, timeoutMs, signal);
    if (!signal.aborted && (error === undefined) !== isReachable) {
      isReachable = error === undefined;
      onChange(error);
    }
    await clock.sleep(everyMs, signal);
  }
}

/** Why the catalog did not answer, or undefined. */
function ask(catalog: Pick<ChangeFeed, 'feedHead'>, clock: Clock, timeoutMs: number, signal: AbortSignal): Promise<unknown> {
  const answer = (over: AbortSignal): Promise<unknown> =>
    catalog.feedHead(over).then(
      () => undefined,
      (error: unknown) => error,
    );
  const late = async (over: AbortSignal): Promise<unknown> => {
    await clock.sleep(timeoutMs, over);
    return new ServiceError('unavailable', 'STORAGE_UNAVAILABLE', `the catalog did not answer within ${timeoutMs} ms`);
  };
  return waitEither([answer, late], signal);
}
