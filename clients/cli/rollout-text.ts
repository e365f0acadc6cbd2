import { type Rollout, type ServableReport, ServableState } from '../../proto/gen/maskterial/registry/v1/rollout.ts';
import { fromRpcStatus } from '../../proto/wire/status.ts';
import { nameOf } from './enum-names.ts';
import { aliasJson, formatTime, formatVersionNumber } from './registry-json.ts';
import { errorJson, errorLine } from './report-error.ts';
import { formatTable, printable } from './table.ts';

/** For people: the aliases with counts, then what each server serves, then its versions with their errors. */
export function rolloutText(model: string, { aliases, servers }: Rollout): string {
  const parts = [];
  if (aliases.length > 0) {
    const rows = aliases.map(({ alias, requiredServers, servingServers, readyServers, failedServers }) => [
      `${model}@${alias?.alias ?? ''}`,
      formatVersionNumber(alias?.version ?? 0),
      String(alias?.revision ?? 0),
      `${servingServers} of ${requiredServers}`,
      `${readyServers} of ${requiredServers}`,
      String(failedServers),
    ]);
    parts.push(table(['alias', 'version', 'revision', 'serving', 'ready', 'failed'], rows));
  } else {
    parts.push(`${model} has no alias\n`);
  }
  const served = servers.flatMap(({ name, aliases: known }) =>
    known.map(({ alias, desiredVersion, servingVersion }) => [
      printable(name),
      alias,
      formatVersionNumber(desiredVersion),
      formatVersionNumber(servingVersion),
    ]),
  );
  if (served.length > 0) {
    parts.push(table(['server', 'alias', 'desired', 'serving'], served));
  }
  const versions = servers.flatMap(({ name, servables }) =>
    servables.map((servable) => [
      printable(name),
      `${model}:${servable.version}`,
      stateName(servable),
      formatTime(servable.since),
      errorText(servable),
    ]),
  );
  if (versions.length > 0) {
    parts.push(table(['server', 'version', 'state', 'since', 'error'], versions));
  }
  if (servers.length === 0) {
    parts.push('no inference server that keeps it loaded is known to the registry\n');
  }
  return parts.join('\n');
}

export function rolloutJson(model: string, { aliases, versions, servers }: Rollout): Record<string, unknown> {
  return {
    model,
    aliases: aliases.map(({ alias, requiredServers, servingServers, readyServers, failedServers }) => ({
      ...(alias === undefined ? {} : aliasJson(alias)),
      required_servers: requiredServers,
      serving_servers: servingServers,
      ready_servers: readyServers,
      failed_servers: failedServers,
    })),
    versions: versions.map(({ version, manifestDigest, readyServers, loadedServers, failedServers }) => ({
      version,
      manifest_digest: manifestDigest,
      ready_servers: readyServers,
      loaded_servers: loadedServers,
      failed_servers: failedServers,
    })),
    servers: servers.map(({ id, name, serverVersion, servables, aliases: served, reportTime }) => ({
      id,
      name,
      server_version: serverVersion,
      report_time: reportTime?.toISOString() ?? null,
      aliases: served.map(({ alias, desiredVersion, desiredRevision, servingVersion }) => ({
        alias,
        desired_version: desiredVersion,
        desired_revision: desiredRevision,
        serving_version: servingVersion === 0 ? null : servingVersion,
      })),
      servables: servables.map((servable) => ({
        version: servable.version,
        manifest_digest: servable.manifestDigest,
        state: stateName(servable),
        since: servable.since?.toISOString() ?? null,
        error: servable.error === undefined ? null : errorJson(fromRpcStatus(servable.error)),
      })),
    })),
  };
}

export function stateName({ state }: ServableReport): string {
  return nameOf(ServableState, 'SERVABLE_STATE_', state);
}

function errorText({ error }: ServableReport): string {
  return error === undefined ? '' : errorLine(fromRpcStatus(error)).replace(/^error: /, '');
}

function table(titles: readonly string[], rows: readonly (readonly string[])[]): string {
  return formatTable(
    titles.map((title) => ({ title })),
    rows,
  );
}
