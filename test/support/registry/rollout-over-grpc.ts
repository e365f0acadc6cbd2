import type { RegistryServiceClient } from '../../../proto/gen/maskterial/registry/v1/registry_service.ts';
import {
  type Rollout as RolloutMessage,
  type ServableReport as ServableReportMessage,
  ServableState as StateCode,
} from '../../../proto/gen/maskterial/registry/v1/rollout.ts';
import { callServerStream, callUnary } from '../../../proto/wire/calls.ts';
import { parseDigest } from '../../../proto/wire/digest.ts';
import { ServiceError } from '../../../proto/wire/errors.ts';
import { asAliasName, asModelName } from '../../../proto/wire/names.ts';
import { fromRpcStatus, toRpcStatus } from '../../../proto/wire/status.ts';
import type { Rollout } from '../../../registry/model/rollout.ts';
import type { ServableReport, ServableState } from '../../../registry/model/server-report.ts';
import type { Registry } from '../../../registry/release/registry.ts';
import type { UncheckedServable } from '../../../registry/release/report-servables.ts';
import { known, toAlias } from './from-messages.ts';

const STATES: Readonly<Record<number, ServableState>> = {
  [StateCode.SERVABLE_STATE_UNSPECIFIED]: 'unspecified',
  [StateCode.SERVABLE_STATE_WANTED]: 'wanted',
  [StateCode.SERVABLE_STATE_FETCHING]: 'fetching',
  [StateCode.SERVABLE_STATE_FETCHED]: 'fetched',
  [StateCode.SERVABLE_STATE_LOADING]: 'loading',
  [StateCode.SERVABLE_STATE_READY]: 'ready',
  [StateCode.SERVABLE_STATE_DRAINING]: 'draining',
  [StateCode.SERVABLE_STATE_FAILED]: 'failed',
};

/** The part of a registry at the other end of a connection that deals with inference servers. */
export function rolloutOverGrpc(
  client: RegistryServiceClient,
): Pick<Registry, 'reportServables' | 'getRollout' | 'watchRollout' | 'prefetchVersion'> {
  return {
    reportServables: async ({ server, sequence, servables, aliases, isStopping }, signal) => {
      const request = {
        server: server && {
          ...server,
          servedModels: [...server.servedModels],
          servedAliases: [...server.servedAliases],
        },
        sequence: BigInt(sequence),
        servables: servables.map(fromServable),
        aliases: [...aliases],
        stopping: isStopping,
      };
      const { expireAfter } = await callUnary(client.reportServables.bind(client), request, { signal });
      const { seconds, nanos } = known(expireAfter);
      return { expireAfterMs: Number(seconds) * 1000 + nanos / 1e6 };
    },
    getRollout: async (query, signal) => toRollout((await callUnary(client.getRollout.bind(client), query, { signal })).rollout),
    prefetchVersion: async (command, signal) => {
      const { expireTime } = await callUnary(client.prefetchVersion.bind(client), command, { signal });
      const manifest = { digest: parseDigest(`sha256:${'0'.repeat(64)}`, 'digest'), sizeBytes: 0 };
      const { model, version } = command;
      return { model: known(asModelName(model)), version, manifest, expireTimeMs: known(expireTime).getTime() };
    },
    watchRollout: async function* (query, signal) {
      for await (const { event } of callServerStream(client.watchRollout.bind(client), query, { signal })) {
        yield event?.$case === 'rollout' ? { kind: 'rollout', rollout: toRollout(event.value) } : { kind: 'heartbeat' };
      }
    },
  };
}

function fromServable({ state, failure, sinceMs, ...servable }: UncheckedServable): ServableReportMessage {
  const [code] = Object.entries(STATES).find(([, name]) => name === state) ?? ['0'];
  const error = failure && toRpcStatus(new ServiceError(failure.kind, failure.reason, failure.message));
  return { ...servable, state: Number(code) as StateCode, error, since: new Date(sinceMs) };
}

function toRollout(message: RolloutMessage | undefined): Rollout {
  const { aliases, versions, servers } = known(message);
  return {
    aliases: aliases.map(({ alias, requiredServers, servingServers, readyServers, failedServers }) => ({
      alias: toAlias(alias),
      required: requiredServers,
      serving: servingServers,
      ready: readyServers,
      failed: failedServers,
    })),
    versions: versions.map(({ version, manifestDigest, readyServers, loadedServers, failedServers }) => ({
      version,
      manifestDigest: parseDigest(manifestDigest, 'digest'),
      ready: readyServers,
      loaded: loadedServers,
      failed: failedServers,
    })),
    servers: servers.map(({ servables, aliases: served, reportTime, ...server }) => ({
      ...server,
      servables: servables.map(toServable),
      aliases: served.map(({ model, alias, desiredVersion, desiredRevision, servingVersion, servingManifestDigest }) => ({
        model: known(asModelName(model)),
        alias: known(asAliasName(alias)),
        desiredVersion,
        desiredRevision,
        serving:
          servingVersion === 0
            ? undefined
            : { version: servingVersion, manifestDigest: parseDigest(servingManifestDigest, 'digest') },
      })),
      reportTimeMs: known(reportTime).getTime(),
    })),
  };
}

function toServable({ model, version, manifestDigest, state, error, since }: ServableReportMessage): ServableReport {
  const failure = error && fromRpcStatus(error);
  return {
    model: known(asModelName(model)),
    version,
    manifestDigest: parseDigest(manifestDigest, 'digest'),
    state: known(STATES[state]),
    failure: failure && { kind: failure.kind, reason: failure.reason, message: failure.message },
    sinceMs: known(since).getTime(),
  };
}
