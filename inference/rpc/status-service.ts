import { type GetStatusResponse } from '../../proto/gen/maskterial/inference/v1/inference_service.ts';
import { type EngineStatus, RegistryConnection, ServableState } from '../../proto/gen/maskterial/inference/v1/status.ts';
import { toRpcStatus } from '../../proto/wire/status.ts';
import type { EngineReport } from '../engine/engine-pool.ts';
import type { RolloutStatus } from '../rollout/rollout.ts';
import type { VersionState } from '../rollout/state.ts';

export interface ServerStatus {
  readonly rollout: RolloutStatus;
  readonly generations: readonly { readonly id: number; engines(): readonly EngineReport[] }[];
  readonly serverVersion: string;
}

const STATES: Readonly<Record<VersionState, ServableState>> = {
  wanted: ServableState.SERVABLE_STATE_WANTED,
  fetching: ServableState.SERVABLE_STATE_FETCHING,
  fetched: ServableState.SERVABLE_STATE_FETCHED,
  loading: ServableState.SERVABLE_STATE_LOADING,
  ready: ServableState.SERVABLE_STATE_READY,
  draining: ServableState.SERVABLE_STATE_DRAINING,
  failed: ServableState.SERVABLE_STATE_FAILED,
};

export function toStatusResponse({ rollout, generations, serverVersion }: ServerStatus): GetStatusResponse {
  const { connection, connectionSinceMs, aliases, versions } = rollout;
  const error = connection.isConnected ? undefined : connection.error;
  return {
    registry: connection.isConnected
      ? RegistryConnection.REGISTRY_CONNECTION_CONNECTED
      : RegistryConnection.REGISTRY_CONNECTION_DISCONNECTED,
    registryError: error && toRpcStatus(error),
    registrySince: new Date(connectionSinceMs),
    servingFromCache: !connection.isConnected,
    aliases: aliases.map(({ desired, serving }) => ({
      model: desired.model,
      alias: desired.alias,
      desiredVersion: desired.version,
      desiredRevision: desired.revision,
      servingVersion: serving?.version ?? 0,
    })),
    servables: versions.map(({ key, state, sinceMs, error: failure }) => ({
      model: key.model,
      version: key.version,
      manifestDigest: key.manifest.digest,
      state: STATES[state],
      error: failure && toRpcStatus(failure),
      since: new Date(sinceMs),
    })),
    engines: enginesOf(generations),
    serverVersion,
  };
}

/** Each once, with the newest generation that has it: a heavy model's engines are shared by those that follow one another. */
function enginesOf(generations: ServerStatus['generations']): EngineStatus[] {
  const seen = new Set<number>();
  return generations.flatMap((generation) =>
    generation.engines().flatMap(({ pid, isReady, restarts, heavyVersion = '' }) => {
      if (pid !== 0 && seen.has(pid)) {
        return [];
      }
      seen.add(pid);
      return [{ pid, generation: generation.id, ready: isReady, restarts, heavyVersion }];
    }),
  );
}
