import type { Command } from 'commander';
import type { GetStatusResponse } from '../../../proto/gen/maskterial/inference/v1/inference_service.ts';
import {
  type AliasStatus,
  RegistryConnection,
  type Servable,
  ServableState,
} from '../../../proto/gen/maskterial/inference/v1/status.ts';
import { fromRpcStatus } from '../../../proto/wire/status.ts';
import { createInferenceClient } from '../../inference-client.ts';
import type { Cli } from '../cli.ts';
import { nameOf } from '../enum-names.ts';
import { inferenceOption, jsonOption, timeoutOption, usedAddress } from '../options.ts';
import { writeJson } from '../registry-command.ts';
import { formatTime, formatVersionNumber } from '../registry-json.ts';
import { errorJson, errorLine } from '../report-error.ts';
import { formatTable } from '../table.ts';

interface Options {
  readonly inference: string;
  readonly timeout: number;
  readonly json?: true;
}

/** `maskterial status` */
export function addStatus(program: Command, cli: Cli): void {
  program
    .command('status')
    .description('what an inference server serves, and whether it reaches the registry')
    .addOption(inferenceOption(cli.env))
    .addOption(timeoutOption(10))
    .addOption(jsonOption())
    .action((options: Options) => showStatus(cli, options));
}

async function showStatus(cli: Cli, options: Options): Promise<void> {
  const client = createInferenceClient(
    { address: usedAddress('inference', options.inference), timeoutMs: options.timeout * 1000 },
    cli.retryDeps,
  );
  try {
    const status = await client.getStatus({ signal: cli.interrupts() });
    if (options.json === true) {
      await writeJson(cli, statusJson(status));
    } else {
      await cli.out.write(statusText(options.inference, status));
    }
  } finally {
    client.close();
  }
}

/** For people: the registry first, then aliases, versions with their errors, engines. */
export function statusText(address: string, status: GetStatusResponse): string {
  const parts = [`inference server ${address}, version ${status.serverVersion}\n${registryLine(status)}`];
  if (status.aliases.length > 0) {
    const rows = status.aliases.map((entry) => [
      `${entry.model}@${entry.alias}`,
      formatVersionNumber(entry.desiredVersion),
      formatVersionNumber(entry.servingVersion),
      aliasNote(entry, status.servables),
    ]);
    parts.push(formatTable([{ title: 'alias' }, { title: 'desired' }, { title: 'serving' }, { title: '' }], rows));
  } else {
    parts.push('no aliases to serve\n');
  }
  if (status.servables.length > 0) {
    const rows = status.servables.map((servable) => [
      `${servable.model}:${servable.version}`,
      stateName(servable),
      formatTime(servable.since),
      errorText(servable.error),
    ]);
    parts.push(formatTable([{ title: 'version' }, { title: 'state' }, { title: 'since' }, { title: 'error' }], rows));
  }
  if (status.engines.length > 0) {
    const rows = status.engines.map(({ pid, generation, ready, restarts }) => [
      String(pid),
      String(generation),
      ready ? 'ready' : 'not ready',
      String(restarts),
    ]);
    parts.push(formatTable([{ title: 'engine' }, { title: 'generation' }, { title: 'state' }, { title: 'restarts' }], rows));
  }
  return parts.join('\n');
}

/** A version that was refused is tried again, but whoever promoted it should look at its error below. */
function aliasNote({ model, desiredVersion, servingVersion }: AliasStatus, servables: readonly Servable[]): string {
  if (servingVersion === desiredVersion) {
    return '';
  }
  const desired = servables.find((servable) => servable.model === model && servable.version === desiredVersion);
  return desired?.error === undefined ? 'not there yet' : 'refused';
}

function registryLine({ registry, registryError, registrySince, servingFromCache }: GetStatusResponse): string {
  const since = registrySince === undefined ? '' : ` since ${formatTime(registrySince)}`;
  const error = registryError === undefined ? '' : `: ${errorText(registryError)}`;
  const cache = servingFromCache ? '\nserving from the cache, as the registry last said' : '';
  return `registry ${nameOf(RegistryConnection, 'REGISTRY_CONNECTION_', registry)}${since}${error}${cache}\n`;
}

function statusJson(status: GetStatusResponse): Record<string, unknown> {
  return {
    server_version: status.serverVersion,
    registry: nameOf(RegistryConnection, 'REGISTRY_CONNECTION_', status.registry),
    registry_since: status.registrySince?.toISOString() ?? null,
    registry_error: status.registryError === undefined ? null : errorJson(fromRpcStatus(status.registryError)),
    is_serving_from_cache: status.servingFromCache,
    aliases: status.aliases.map(({ model, alias, desiredVersion, desiredRevision, servingVersion }) => ({
      model,
      alias,
      desired_version: desiredVersion,
      desired_revision: desiredRevision,
      serving_version: servingVersion === 0 ? null : servingVersion,
    })),
    servables: status.servables.map((servable) => ({
      model: servable.model,
      version: servable.version,
      manifest_digest: servable.manifestDigest,
      state: stateName(servable),
      since: servable.since?.toISOString() ?? null,
      error: servable.error === undefined ? null : errorJson(fromRpcStatus(servable.error)),
    })),
    engines: status.engines.map(({ pid, generation, ready, restarts }) => ({ pid, generation, is_ready: ready, restarts })),
  };
}

function stateName({ state }: Servable): string {
  return nameOf(ServableState, 'SERVABLE_STATE_', state);
}

function errorText(error: Servable['error']): string {
  return error === undefined ? '' : errorLine(fromRpcStatus(error)).replace(/^error: /, '');
}
