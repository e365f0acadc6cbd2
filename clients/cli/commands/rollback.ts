import type { Command } from 'commander';
import type { ModelReference } from '../../../proto/wire/names.ts';
import type { Cli } from '../cli.ts';
import { usageError } from '../exit-codes.ts';
import { auditOptions, expectedRevisionOption, jsonOption, parseReference } from '../options.ts';
import { type RegistryOptions, useRegistry, withRegistry, writeJson } from '../registry-command.ts';
import { aliasJson } from '../registry-json.ts';
import { moveLine } from './promote.ts';

interface Options extends RegistryOptions {
  readonly expectedRevision?: number;
  readonly actor: string;
  readonly reason: string;
  readonly json?: true;
}

/** `maskterial rollback NAME[@alias]` */
export function addRollback(program: Command, cli: Cli): void {
  const command = withRegistry(program.command('rollback').description('point an alias back at its previous version'), cli)
    .argument('<alias>', 'NAME (its alias "production") or NAME@alias', parseReference)
    .addOption(expectedRevisionOption())
    .addOption(jsonOption())
    .action((reference: ModelReference, options: Options) => rollback(cli, reference, options));
  for (const option of auditOptions()) {
    command.addOption(option);
  }
}

function rollback(cli: Cli, { model, selector }: ModelReference, options: Options): Promise<void> {
  if (selector.kind !== 'alias') {
    throw usageError('an alias is rolled back, not a version: name it as NAME or NAME@alias');
  }
  return useRegistry(cli, options, async (registry) => {
    const { expectedRevision, actor, reason } = options;
    const { alias, previousVersion } = await registry.rollback(model, selector.alias, {
      expectedRevision,
      actor,
      reason,
      signal: cli.interrupts(),
    });
    if (options.json === true) {
      await writeJson(cli, { ...aliasJson(alias), previous_version: previousVersion });
    } else {
      await cli.out.write(moveLine(model, alias, previousVersion));
    }
  });
}
