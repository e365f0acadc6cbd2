import type { Command } from 'commander';
import type { Rollout } from '../../../proto/gen/maskterial/registry/v1/rollout.ts';
import type { Cli } from '../cli.ts';
import { jsonOption } from '../options.ts';
import { type RegistryOptions, useRegistry, withRegistry, writeJson } from '../registry-command.ts';
import { rolloutJson, rolloutText } from '../rollout-text.ts';
import { type AliasTarget, parseNameOrAlias } from './history.ts';

interface Options extends RegistryOptions {
  readonly watch?: true;
  readonly json?: true;
}

/** `maskterial rollout NAME[@alias]` */
export function addRollout(program: Command, cli: Cli): void {
  withRegistry(
    program.command('rollout').description('which versions of a model the inference servers have, as the registry knows'),
    cli,
  )
    .argument('<model>', 'NAME for all its aliases, NAME@alias for one', parseNameOrAlias)
    .option('--watch', 'show it again after every change, until interrupted')
    .addOption(jsonOption())
    .action((target: AliasTarget, options: Options) => showRollout(cli, target, options));
}

function showRollout(cli: Cli, { model, alias }: AliasTarget, options: Options): Promise<void> {
  const show = (rollout: Rollout): Promise<void> =>
    options.json === true ? writeJson(cli, rolloutJson(model, rollout)) : cli.out.write(rolloutText(model, rollout));
  return useRegistry(cli, options, async (registry) => {
    const signal = cli.interrupts();
    if (options.watch !== true) {
      await show(await registry.getRollout(model, alias, { signal }));
      return;
    }
    let isFirst = true;
    for await (const rollout of registry.watchRollout(model, alias, { signal })) {
      if (!isFirst && options.json !== true) {
        await cli.out.write(`\n${new Date(cli.now()).toISOString()}\n`);
      }
      isFirst = false;
      await show(rollout);
    }
  });
}
