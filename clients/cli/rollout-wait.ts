import type { Alias } from '../../proto/gen/maskterial/registry/v1/model.ts';
import type { AliasRollout, Rollout } from '../../proto/gen/maskterial/registry/v1/rollout.ts';
import { type ErrorKind, isServiceError, ServiceError } from '../../proto/wire/errors.ts';
import { fromRpcStatus } from '../../proto/wire/status.ts';
import type { RegistryClient } from '../registry-client.ts';
import { stateName } from './rollout-text.ts';

/** What may pass by itself: the server tries again, and so waiting goes on. */
const PASSING: ReadonlySet<ErrorKind> = new Set(['unavailable', 'resource-exhausted', 'deadline-exceeded', 'cancelled']);

export interface WaitOptions {
  /** Aborted when the time is up. */
  readonly late: AbortSignal;
  /** Aborted when the user stops waiting. */
  readonly signal: AbortSignal;
  /** Called with one line whenever more servers, or fewer, serve it. */
  readonly onProgress: (line: string) => Promise<void>;
}

/**
 * Waits until every live inference server that keeps the alias loaded serves what `moved` says, and at least one does.
 * @throws ServiceError of the server's own kind and reason when one cannot bring the version in; aborted REVISION_CONFLICT when
 * the alias was moved again; unavailable MODEL_NOT_READY when the time is up.
 */
export async function waitUntilServed(
  registry: Pick<RegistryClient, 'watchRollout'>,
  moved: Alias,
  { late, signal, onProgress }: WaitOptions,
): Promise<Rollout> {
  const { model, alias } = moved;
  let last: AliasRollout | undefined;
  let latest: Rollout | undefined;
  try {
    for await (const rollout of registry.watchRollout(model, alias, { signal: AbortSignal.any([signal, late]) })) {
      const now = rollout.aliases.find((found) => found.alias?.alias === alias);
      if (now === undefined || (now.alias?.revision ?? 0) < moved.revision) {
        // A registry replica that has not heard of the promotion yet.
        continue;
      }
      throwIfMovedOn(moved, now);
      throwIfRefused(moved, rollout);
      if (now.requiredServers > 0 && now.servingServers === now.requiredServers) {
        return rollout;
      }
      if (now.servingServers !== last?.servingServers || now.requiredServers !== last.requiredServers) {
        await onProgress(progressLine(moved, now));
      }
      last = now;
      latest = rollout;
    }
    throw new ServiceError('unavailable', 'UNAVAILABLE', 'the registry ended the watch');
  } catch (error) {
    throw isServiceError(error, 'cancelled') && late.aborted && !signal.aborted ? tooLate(moved, last, latest) : error;
  }
}

export function progressLine({ model, version }: Alias, { requiredServers, servingServers }: AliasRollout): string {
  return `${servingServers} of ${requiredServers} servers serve ${model}:${version}`;
}

function throwIfMovedOn({ model, alias, revision }: Alias, { alias: found }: AliasRollout): void {
  if (found !== undefined && found.revision > revision) {
    const what = `${model}@${alias} was moved again, to ${model}:${found.version} (revision ${found.revision})`;
    throw new ServiceError('aborted', 'REVISION_CONFLICT', what, { metadata: { current_revision: String(found.revision) } });
  }
}

function throwIfRefused({ model, alias, version, manifest }: Alias, { servers }: Rollout): void {
  for (const { name, servables, aliases } of servers) {
    const served = aliases.find((found) => found.alias === alias);
    const servable = servables.find((found) => found.version === version && found.manifestDigest === manifest?.digest);
    const failure = servable?.error && fromRpcStatus(servable.error);
    if (served === undefined || failure === undefined || PASSING.has(failure.kind)) {
      continue;
    }
    const rest =
      served.servingVersion === 0 ? 'it serves no version instead' : `it goes on with ${model}:${served.servingVersion}`;
    throw new ServiceError(failure.kind, failure.reason, `${name} cannot serve ${model}:${version}, ${rest}: ${failure.message}`);
  }
}

function tooLate(moved: Alias, last: AliasRollout | undefined, rollout: Rollout | undefined): ServiceError {
  const { model, alias, version } = moved;
  const states = (rollout?.servers ?? []).map(({ name, servables }) => {
    const servable = servables.find((found) => found.version === version);
    const error = servable?.error === undefined ? '' : `: ${servable.error.message}`;
    return `${name} ${servable === undefined ? 'has not begun' : `is ${stateName(servable)}${error}`}`;
  });
  const how =
    last === undefined || last.requiredServers === 0
      ? `no inference server that keeps ${model}@${alias} loaded is known to the registry`
      : `${progressLine(moved, last)} (${states.join(', ')})`;
  return new ServiceError('unavailable', 'MODEL_NOT_READY', `not in time: ${how}`);
}
