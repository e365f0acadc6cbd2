import type { ReportServablesRequest } from '../../proto/gen/maskterial/registry/v1/registry_service.ts';
import {
  type Rollout as RolloutMessage,
  type ServableReport as ServableReportMessage,
  type ServedAlias as ServedAliasMessage,
  ServableState as StateCode,
} from '../../proto/gen/maskterial/registry/v1/rollout.ts';
import { ServiceError } from '../../proto/wire/errors.ts';
import { fromRpcStatus, toRpcStatus } from '../../proto/wire/status.ts';
import type { Rollout } from '../model/rollout.ts';
import type { Failure, ServableReport, ServableState, ServedAlias } from '../model/server-report.ts';
import type { ReportServablesCommand, UncheckedServable } from '../release/report-servables.ts';
import { toAlias } from './convert.ts';

const STATE_CODES = {
  unspecified: StateCode.SERVABLE_STATE_UNSPECIFIED,
  wanted: StateCode.SERVABLE_STATE_WANTED,
  fetching: StateCode.SERVABLE_STATE_FETCHING,
  fetched: StateCode.SERVABLE_STATE_FETCHED,
  loading: StateCode.SERVABLE_STATE_LOADING,
  ready: StateCode.SERVABLE_STATE_READY,
  draining: StateCode.SERVABLE_STATE_DRAINING,
  failed: StateCode.SERVABLE_STATE_FAILED,
} as const satisfies Readonly<Record<ServableState, StateCode>>;

const STATES: ReadonlyMap<number, ServableState> = new Map(
  Object.entries(STATE_CODES).map(([state, code]) => [code, state as ServableState]),
);

export function reportFrom(request: ReportServablesRequest): ReportServablesCommand {
  return {
    server: request.server,
    sequence: Number(request.sequence),
    servables: request.servables.map(servableFrom),
    aliases: request.aliases,
    isStopping: request.stopping,
  };
}

function servableFrom({ model, version, manifestDigest, state, error, since }: ServableReportMessage): UncheckedServable {
  return {
    model,
    version,
    manifestDigest,
    // A server of a later release may be in a state that this one does not know.
    state: STATES.get(state) ?? 'unspecified',
    failure: error && failureFrom(error),
    sinceMs: since?.getTime() ?? 0,
  };
}

function failureFrom(error: NonNullable<ServableReportMessage['error']>): Failure {
  const { kind, reason, message } = parse(error);
  return { kind, reason, message };
}

/** Details that are no details of ours say no less than none. */
function parse(error: NonNullable<ServableReportMessage['error']>): ServiceError {
  try {
    return fromRpcStatus(error);
  } catch {
    return fromRpcStatus({ ...error, details: [] });
  }
}

export function toRollout({ aliases, versions, servers }: Rollout): RolloutMessage {
  return {
    aliases: aliases.map(({ alias, required, serving, ready, failed }) => ({
      alias: toAlias(alias),
      requiredServers: required,
      servingServers: serving,
      readyServers: ready,
      failedServers: failed,
    })),
    versions: versions.map(({ version, manifestDigest, ready, loaded, failed }) => ({
      version,
      manifestDigest,
      readyServers: ready,
      loadedServers: loaded,
      failedServers: failed,
    })),
    servers: servers.map((server) => ({
      id: server.id,
      name: server.name,
      serverVersion: server.serverVersion,
      servables: server.servables.map(toServable),
      aliases: server.aliases.map(toServedAlias),
      reportTime: new Date(server.reportTimeMs),
    })),
  };
}

function toServable({ model, version, manifestDigest, state, failure, sinceMs }: ServableReport): ServableReportMessage {
  const error = failure && toRpcStatus(new ServiceError(failure.kind, failure.reason, failure.message));
  return { model, version, manifestDigest, state: STATE_CODES[state], error, since: new Date(sinceMs) };
}

function toServedAlias({ model, alias, desiredVersion, desiredRevision, serving }: ServedAlias): ServedAliasMessage {
  return {
    model,
    alias,
    desiredVersion,
    desiredRevision,
    servingVersion: serving?.version ?? 0,
    servingManifestDigest: serving?.manifestDigest ?? '',
  };
}
