import type { Command } from 'commander';
import { type BundleOptions, withBundleOptions } from './bundle-options.ts';
import type { Cli } from './cli.ts';
import { auditOptions, jsonOption, type LabelMap, labelOption, parseAlias } from './options.ts';
import { type RegistryOptions, withRegistry } from './registry-command.ts';

/** How bundles are published, whichever command does it. */
export interface PublishOptions extends RegistryOptions, BundleOptions {
  readonly create: boolean;
  readonly promote?: string;
  readonly label?: LabelMap;
  readonly actor: string;
  readonly reason: string;
  readonly json?: true;
}

export function withPublishOptions(command: Command, cli: Cli): Command {
  withBundleOptions(withRegistry(command, cli))
    .option('--no-create', 'fail when the model does not exist instead of creating it')
    .option('--promote <alias>', 'point this alias at the version afterwards', parseAlias)
    .addOption(labelOption('a label of the version; may be repeated'))
    .addOption(jsonOption());
  for (const option of auditOptions()) {
    command.addOption(option);
  }
  return command;
}
