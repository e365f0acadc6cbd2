import type { Command } from 'commander';
import type { ModelReference } from '../../../proto/wire/names.ts';
import type { Cli } from '../cli.ts';
import { auditOptions, jsonOption, parseReference } from '../options.ts';
import { type RegistryOptions, useRegistry, withRegistry, writeJson } from '../registry-command.ts';
import { requireNumber } from './deprecate.ts';

interface Options extends RegistryOptions {
  readonly actor: string;
  readonly reason: string;
  readonly json?: true;
}

/** `maskterial delete NAME:version` */
export function addDelete(program: Command, cli: Cli): void {
  const command = withRegistry(program.command('delete').description('delete a version that no alias points at'), cli)
    .argument('<version>', 'NAME:version', parseReference)
    .addOption(jsonOption())
    .action((reference: ModelReference, options: Options) => deleteVersion(cli, reference, options));
  for (const option of auditOptions()) {
    command.addOption(option);
  }
}

function deleteVersion(cli: Cli, reference: ModelReference, options: Options): Promise<void> {
  const { model } = reference;
  const version = requireNumber(reference);
  return useRegistry(cli, options, async (registry) => {
    const { actor, reason } = options;
    await registry.deleteVersion(model, version, { actor, reason, signal: cli.interrupts() });
    if (options.json === true) {
      await writeJson(cli, { model, version, deleted: true });
    } else {
      await cli.out.write(`${model}:${version} is deleted\n`);
    }
  });
}
