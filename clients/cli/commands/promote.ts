import type { Command } from 'commander';
import type { Alias } from '../../../proto/gen/maskterial/registry/v1/model.ts';
import { DEFAULT_ALIAS, formatReference, type ModelReference } from '../../../proto/wire/names.ts';
import type { RegistryClient } from '../../registry-client.ts';
import type { Cli } from '../cli.ts';
import { usageError } from '../exit-codes.ts';
import {
  auditOptions,
  expectedRevisionOption,
  jsonOption,
  parseAlias,
  parseReference,
  requireReadyOption,
  waitTimeoutOption,
} from '../options.ts';
import { type RegistryOptions, useRegistry, withRegistry, writeJson } from '../registry-command.ts';
import { deprecationText } from './deprecate.ts';
import { aliasJson } from '../registry-json.ts';
import { rolloutJson } from '../rollout-text.ts';
import { progressLine, waitUntilServed } from '../rollout-wait.ts';

interface Options extends RegistryOptions {
  readonly alias: string;
  readonly expectedRevision?: number;
  readonly actor: string;
  readonly reason: string;
  readonly wait?: true;
  readonly waitTimeout: number;
  readonly requireReady?: number;
  readonly json?: true;
}

/** `maskterial promote NAME:version` */
export function addPromote(program: Command, cli: Cli): void {
  const command = withRegistry(program.command('promote').description('point an alias at a version'), cli)
    .argument('<version>', 'NAME:version, NAME@latest, or NAME@alias for where another alias points', parseReference)
    .option('--alias <alias>', 'the alias to move', parseAlias, DEFAULT_ALIAS)
    .addOption(expectedRevisionOption())
    .addOption(requireReadyOption())
    .option('--wait', 'wait until every inference server that keeps the alias loaded serves it, or one says why it cannot')
    .addOption(waitTimeoutOption())
    .addOption(jsonOption())
    .action((reference: ModelReference, options: Options) => promote(cli, reference, options));
  for (const option of auditOptions()) {
    command.addOption(option);
  }
}

function promote(cli: Cli, reference: ModelReference, options: Options): Promise<void> {
  const { model, selector } = reference;
  if (selector.kind === 'alias' && selector.alias === options.alias) {
    throw usageError(`${formatReference(reference)} is where it points already: name a version as ${model}:1 or ${model}@latest`);
  }
  return useRegistry(cli, options, async (registry) => {
    const signal = cli.interrupts();
    const version = await versionOf(registry, reference, signal);
    const { expectedRevision, requireReady, actor, reason } = options;
    const { alias, previousVersion, deprecation } = await registry.promote(model, version, options.alias, {
      expectedRevision,
      requireReady,
      actor,
      reason,
      signal,
    });
    if (options.json === true) {
      await writeJson(cli, { ...aliasJson(alias), previous_version: previousVersion === 0 ? null : previousVersion });
    } else {
      await cli.out.write(moveLine(model, alias, previousVersion));
    }
    if (deprecation !== undefined) {
      await cli.err.write(`warning: ${model}:${version} is ${deprecationText(deprecation.reason)}\n`);
    }
    if (options.wait === true) {
      await waitFor(cli, registry, alias, options, signal);
    }
  });
}

async function waitFor(cli: Cli, registry: RegistryClient, moved: Alias, options: Options, signal: AbortSignal): Promise<void> {
  const late = AbortSignal.timeout(options.waitTimeout * 1000);
  const onProgress = (line: string): Promise<void> => cli.err.write(`${line}\n`);
  const rollout = await waitUntilServed(registry, moved, { late, signal, onProgress });
  if (options.json === true) {
    await writeJson(cli, rolloutJson(moved.model, rollout));
    return;
  }
  const [served] = rollout.aliases;
  await cli.out.write(`${served === undefined ? '' : progressLine(moved, served)}\n`);
}

/** Says where the alias points now, and how to undo it. */
export function moveLine(
  model: string,
  { alias, version, revision }: { alias: string; version: number; revision: number },
  previousVersion: number,
): string {
  const moved = previousVersion === 0 ? 'new' : `was ${model}:${previousVersion}`;
  const before = previousVersion === version ? 'there already' : moved;
  return `${model}@${alias} -> ${model}:${version} (${before}, revision ${revision})\n`;
}

async function versionOf(registry: RegistryClient, reference: ModelReference, signal: AbortSignal): Promise<number> {
  if (reference.selector.kind === 'version') {
    return reference.selector.version;
  }
  const { version } = await registry.resolve(reference, { signal });
  return version?.version ?? 0;
}
