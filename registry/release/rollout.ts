import { throwIfAborted } from '../../proto/wire/errors.ts';
import type { ModelName } from '../../proto/wire/names.ts';
import type { AliasState } from '../model/alias.ts';
import { RequestCheck } from '../model/request-check.ts';
import { type LiveReport, type Rollout, rolloutOf } from '../model/rollout.ts';
import type { ReportingDeps } from './dependencies.ts';
import { checkHeartbeat } from './heartbeat.ts';
import { aliasNotFound, requireModel } from './not-found.ts';
import { waitEither } from './wait-either.ts';

export interface RolloutQuery {
  readonly model: string;
  /** Empty: all aliases of the model. */
  readonly alias: string;
}

export interface WatchRolloutQuery extends RolloutQuery {
  /** Between heartbeats when nothing happens; 0 means 10. */
  readonly heartbeatSeconds: number;
}

export type RolloutEvent = { readonly kind: 'rollout'; readonly rollout: Rollout } | { readonly kind: 'heartbeat' };

/** @throws ServiceError not-found MODEL_NOT_FOUND or ALIAS_NOT_FOUND; invalid-argument INVALID_REQUEST. */
export async function getRollout(deps: ReportingDeps, query: RolloutQuery, signal: AbortSignal): Promise<Rollout> {
  const check = new RequestCheck();
  const { model, alias } = checkQuery(check, query);
  if (model === undefined || check.isBad) {
    throw check.error();
  }
  return (await look(deps, model, alias, signal)).rollout;
}

/**
 * The rollout as it is, and again whenever it changed. What changes while the caller does not read is seen as one change, so a
 * slow caller costs no memory. Ends by an error only.
 * @throws ServiceError as `getRollout`; whatever aborted `signal`.
 */
export async function* watchRollout(
  deps: ReportingDeps,
  query: WatchRolloutQuery,
  signal: AbortSignal,
): AsyncGenerator<RolloutEvent> {
  const check = new RequestCheck();
  const { model, alias } = checkQuery(check, query);
  const heartbeatMs = checkHeartbeat(check, query.heartbeatSeconds);
  if (model === undefined || check.isBad) {
    throw check.error();
  }
  const { clock, follower, reportsFollower } = deps;
  let told = '';
  let toldMs = clock.nowMs();
  for (;;) {
    throwIfAborted(signal);
    // Before the look: what changes during it is news to the wait below.
    const sequence = await follower.current(signal);
    const head = await reportsFollower.current(signal);
    const { rollout, nextExpiryMs } = await look(deps, model, alias, signal);
    const content = contentOf(rollout);
    if (content !== told) {
      told = content;
      toldMs = clock.nowMs();
      yield { kind: 'rollout', rollout };
      continue;
    }
    const wakeMs = Math.min(toldMs + heartbeatMs, nextExpiryMs);
    const timeoutMs = Math.max(0, wakeMs - clock.nowMs());
    await waitEither(
      [(over) => follower.waitBeyond(sequence, timeoutMs, over), (over) => reportsFollower.waitBeyond(head, timeoutMs, over)],
      signal,
    );
    if (clock.nowMs() >= toldMs + heartbeatMs) {
      toldMs = clock.nowMs();
      yield { kind: 'heartbeat' };
    }
  }
}

function checkQuery(check: RequestCheck, query: RolloutQuery): { model: ModelName | undefined; alias: string } {
  const model = check.modelName(query.model, 'model');
  if (query.alias !== '') {
    check.aliasName(query.alias, 'alias');
  }
  return { model, alias: query.alias };
}

async function look(
  { catalog, clock, reports }: ReportingDeps,
  name: ModelName,
  alias: string,
  signal: AbortSignal,
): Promise<{ readonly rollout: Rollout; readonly nextExpiryMs: number }> {
  const model = await requireModel(catalog, name, signal);
  const aliases: readonly AliasState[] = model.aliases.filter((state) => alias === '' || state.alias === alias);
  if (alias !== '' && aliases.length === 0) {
    throw aliasNotFound(model, alias);
  }
  const live = await reports.list(name, clock.nowMs(), signal);
  return { rollout: rolloutOf(name, aliases, live), nextExpiryMs: soonest(live) };
}

function soonest(reports: readonly LiveReport[]): number {
  return reports.reduce((ms, { expireTimeMs }) => Math.min(ms, expireTimeMs), Number.POSITIVE_INFINITY);
}

/** All but when each server was heard of last: a renewal is no change. */
function contentOf({ aliases, versions, servers }: Rollout): string {
  return JSON.stringify([aliases, versions, servers.map((server) => ({ ...server, reportTimeMs: 0 }))]);
}
