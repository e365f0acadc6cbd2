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
  /** Called with one line whenever more servers, or fewer, are there. */
  readonly onProgress: (line: string) => Promise<void>;
}

/**
 * Waits until every live inference server that keeps the alias loaded serves what `moved` says, and at least one does.
 * @throws ServiceError of the server's own kind and reason when one cannot bring the version in; aborted REVISION_CONFLICT when
 * the alias was moved again; unavailable MODEL_NOT_READY when the time is up.
 */
export function waitUntilServed(registry: Watchable, moved: Alias, options: WaitOptions): Promise<Rollout> {
  const find = ({ aliases }: Rollout): AliasRollout | undefined => aliases.find(({ alias }) => alias?.alias === moved.alias);
  return watchUntil(registry, moved, options, {
    judge: (rollout) => {
      const now = find(rollout);
      if (now === undefined || (now.alias?.revision ?? 0) < moved.revision) {
        // A registry replica that has not heard of the promotion yet.
        return undefined;
      }
      throwIfMovedOn(moved, now);
      throwIfRefused(moved, rollout);
      const isDone = now.requiredServers > 0 && now.servingServers === now.requiredServers;
      return { isDone, progress: progressLine(moved, now) };
    },
    tooLate: (rollout) => tooLate(moved, rollout && find(rollout), rollout),
  });
}

/** A version with its content's identity. */
export interface HeldVersion {
  readonly model: string;
  readonly version: number;
  readonly manifestDigest: string;
}

/**
 * Waits until so many servers hold the version ready.
 * @throws ServiceError of the server's own kind and reason when one cannot bring it in; unavailable MODEL_NOT_READY when the time
 * is up.
 */
export function waitUntilHeld(registry: Watchable, held: HeldVersion, count: number, options: WaitOptions): Promise<Rollout> {
  const { model, version, manifestDigest } = held;
  const readyLine = ({ versions }: Rollout): { ready: number; line: string } => {
    const found = versions.find((known) => known.version === version && known.manifestDigest === manifestDigest);
    const ready = found?.readyServers ?? 0;
    return { ready, line: `${ready} of ${count} servers hold ${model}:${version} ready` };
  };
  return watchUntil(registry, { model, alias: '' }, options, {
    judge: (rollout) => {
      const { ready, line } = readyLine(rollout);
      if (ready < count) {
        throwIfNotHeld(held, rollout);
      }
      return { isDone: ready >= count, progress: line };
    },
    tooLate: (rollout) => {
      const states = rollout === undefined ? '' : statesText(rollout, version);
      const how = `${readyLine(rollout ?? { aliases: [], versions: [], servers: [] }).line}${states}`;
      return new ServiceError('unavailable', 'MODEL_NOT_READY', `not in time: ${how}`);
    },
  });
}

type Watchable = Pick<RegistryClient, 'watchRollout'>;

interface Judge {
  /** Undefined for a look that says nothing. */
  readonly judge: (rollout: Rollout) => { readonly isDone: boolean; readonly progress: string } | undefined;
  readonly tooLate: (last: Rollout | undefined) => ServiceError;
}

async function watchUntil(
  registry: Watchable,
  { model, alias }: { readonly model: string; readonly alias: string },
  { late, signal, onProgress }: WaitOptions,
  { judge, tooLate: explainDelay }: Judge,
): Promise<Rollout> {
  let last: Rollout | undefined;
  let told = '';
  try {
    for await (const rollout of registry.watchRollout(model, alias, { signal: AbortSignal.any([signal, late]) })) {
      const judgement = judge(rollout);
      if (judgement?.isDone === true) {
        return rollout;
      }
      if (judgement !== undefined && judgement.progress !== told) {
        told = judgement.progress;
        await onProgress(told);
      }
      last = judgement === undefined ? last : rollout;
    }
    throw new ServiceError('unavailable', 'UNAVAILABLE', 'the registry ended the watch');
  } catch (error) {
    throw isServiceError(error, 'cancelled') && late.aborted && !signal.aborted ? explainDelay(last) : error;
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

function throwIfNotHeld({ model, version, manifestDigest }: HeldVersion, { servers }: Rollout): void {
  for (const { name, servables } of servers) {
    const servable = servables.find((found) => found.version === version && found.manifestDigest === manifestDigest);
    const failure = servable?.error && fromRpcStatus(servable.error);
    if (failure !== undefined && !PASSING.has(failure.kind)) {
      throw new ServiceError(failure.kind, failure.reason, `${name} cannot hold ${model}:${version}: ${failure.message}`);
    }
  }
}

function tooLate(moved: Alias, last: AliasRollout | undefined, rollout: Rollout | undefined): ServiceError {
  const { model, alias, version } = moved;
  const how =
    last === undefined || rollout === undefined || last.requiredServers === 0
      ? `no inference server that keeps ${model}@${alias} loaded is known to the registry`
      : `${progressLine(moved, last)}${statesText(rollout, version)}`;
  return new ServiceError('unavailable', 'MODEL_NOT_READY', `not in time: ${how}`);
}

/** How far each server is with the version, in brackets. */
function statesText({ servers }: Rollout, version: number): string {
  const states = servers.map(({ name, servables }) => {
    const servable = servables.find((found) => found.version === version);
    const error = servable?.error === undefined ? '' : `: ${servable.error.message}`;
    return `${name} ${servable === undefined ? 'has not begun' : `is ${stateName(servable)}${error}`}`;
  });
  return states.length === 0 ? '' : ` (${states.join(', ')})`;
}
