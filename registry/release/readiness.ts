import { ServiceError } from '../../proto/wire/errors.ts';
import type { PromotionTarget } from '../model/alias.ts';
import { holdersOf } from '../model/rollout.ts';
import { isHeldReady } from '../model/server-report.ts';
import type { RegistryDeps } from './dependencies.ts';

/** Servers that a refusal names, with what they say. */
const MAX_NAMED = 3;

/**
 * Counts, once, the live servers that keep the alias loaded and hold the version ready.
 * @throws ServiceError failed-precondition NOT_ENOUGH_READY with metadata ready and required, when they are fewer than `required`.
 */
export async function requireReady(
  { reports, clock }: RegistryDeps,
  target: PromotionTarget,
  required: number,
  signal: AbortSignal,
): Promise<void> {
  if (required === 0) {
    return;
  }
  const { model, alias, version } = target;
  const holders = holdersOf(target, await reports.list(model, clock.nowMs(), signal));
  const others = holders.filter(({ servable }) => servable === undefined || !isHeldReady(servable));
  const ready = holders.length - others.length;
  if (ready >= required) {
    return;
  }
  const named = others.slice(0, MAX_NAMED).map(({ report, servable }) => {
    const { state, failure } = servable ?? { state: 'not there', failure: undefined };
    return `${report.server.name}: ${failure === undefined ? state : `${failure.message} [${failure.reason}]`}`;
  });
  const rest = others.length > MAX_NAMED ? [`and ${others.length - MAX_NAMED} more`] : [];
  const details = holders.length === 0 ? ['no live server keeps it loaded'] : [...named, ...rest];
  const why = details.length === 0 ? '' : `: ${details.join('; ')}`;
  throw new ServiceError(
    'failed-precondition',
    'NOT_ENOUGH_READY',
    `${model}:${version} is held ready by ${ready} of the ${required} servers required for ${model}@${alias}${why}`,
    { metadata: { ready: String(ready), required: String(required) } },
  );
}
