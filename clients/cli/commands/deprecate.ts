import type { Command } from 'commander';
import type { ModelReference } from '../../../proto/wire/names.ts';
import type { Cli } from '../cli.ts';
import { usageError } from '../exit-codes.ts';
import { jsonOption, parseReference } from '../options.ts';
import { type RegistryOptions, useRegistry, withRegistry, writeJson } from '../registry-command.ts';
import { versionJson } from '../registry-json.ts';
import { printable } from '../table.ts';

interface Options extends RegistryOptions {
  readonly reason: string;
  readonly undo?: true;
  readonly json?: true;
}

/** `maskterial deprecate NAME:version` */
export function addDeprecate(program: Command, cli: Cli): void {
  withRegistry(program.command('deprecate').description('advise against a version; it is served and promoted as before'), cli)
    .argument('<version>', 'NAME:version', parseReference)
    .option('--reason <text>', 'why, and what to use instead', '')
    .option('--undo', 'take the advice back')
    .addOption(jsonOption())
    .action((reference: ModelReference, options: Options) => deprecate(cli, reference, options));
}

function deprecate(cli: Cli, reference: ModelReference, options: Options): Promise<void> {
  const number = requireNumber(reference);
  return useRegistry(cli, options, async (registry) => {
    const call = { signal: cli.interrupts() };
    const version =
      options.undo === true
        ? await registry.undeprecate(reference.model, number, call)
        : await registry.deprecate(reference.model, number, options.reason, call);
    if (options.json === true) {
      await writeJson(cli, versionJson(version));
      return;
    }
    const state = version.deprecation === undefined ? 'is not deprecated' : `is ${deprecationText(version.deprecation.reason)}`;
    await cli.out.write(`${version.model}:${version.version} ${state}\n`);
  });
}

export function deprecationText(reason: string): string {
  return reason === '' ? 'deprecated' : `deprecated: ${printable(reason)}`;
}

/** What changes a version names it by number: an alias may have moved since the caller looked. */
export function requireNumber({ model, selector }: ModelReference): number {
  if (selector.kind !== 'version') {
    throw usageError(`expected one version, named by its number, as ${model}:1`);
  }
  return selector.version;
}
