import type { Command } from 'commander';
import type { Model } from '../../../proto/gen/maskterial/registry/v1/model.ts';
import type { Cli } from '../cli.ts';
import { jsonOption, type LabelMap, labelOption } from '../options.ts';
import { type RegistryOptions, useRegistry, withRegistry, writeJson } from '../registry-command.ts';
import { formatLabels, formatVersionNumber, kindName, modelJson } from '../registry-json.ts';
import { formatTable, printable } from '../table.ts';

interface Options extends RegistryOptions {
  readonly label?: LabelMap;
  readonly json?: true;
}

/** `maskterial models` */
export function addModels(program: Command, cli: Cli): void {
  withRegistry(program.command('models').description('list the models of the registry'), cli)
    .addOption(labelOption('only models with this label; may be repeated'))
    .addOption(jsonOption())
    .action((options: Options) => listModels(cli, options));
}

function listModels(cli: Cli, options: Options): Promise<void> {
  return useRegistry(cli, options, async (registry) => {
    const models = registry.listModels({ labels: options.label, signal: cli.interrupts() });
    const rows: string[][] = [];
    for await (const model of models) {
      if (options.json === true) {
        await writeJson(cli, modelJson(model));
      } else {
        rows.push(rowOf(model));
      }
    }
    if (options.json !== true) {
      const titles = ['model', 'kind', 'latest', 'aliases', 'labels'];
      await cli.out.write(
        rows.length === 0
          ? 'no models\n'
          : formatTable(
              titles.map((title) => ({ title })),
              rows,
            ),
      );
    }
  });
}

function rowOf({ name, kind, latestVersion, aliases, labels }: Model): string[] {
  const pointers = aliases.map(({ alias, version }) => `${alias}=${version}`).join(' ');
  return [name, kindName(kind), formatVersionNumber(latestVersion), pointers, printable(formatLabels(labels))];
}
