import type { Command } from 'commander';
import type { AliasEvent } from '../../../proto/gen/maskterial/registry/v1/model.ts';
import type { ModelReference } from '../../../proto/wire/names.ts';
import type { Cli } from '../cli.ts';
import { usageError } from '../exit-codes.ts';
import { integerParser, jsonOption, parseReference } from '../options.ts';
import { type RegistryOptions, useRegistry, withRegistry, writeJson } from '../registry-command.ts';
import { actionName, eventJson, formatTime, formatVersionNumber } from '../registry-json.ts';
import { formatTable, printable } from '../table.ts';

interface Options extends RegistryOptions {
  readonly limit?: number;
  readonly json?: true;
}

/** `maskterial history NAME[@alias]` */
export function addHistory(program: Command, cli: Cli): void {
  withRegistry(program.command('history').description('who moved an alias, when and why, newest first'), cli)
    .argument('<model>', 'NAME for all its aliases, NAME@alias for one', parseNameOrAlias)
    .option('--limit <n>', 'at most so many entries', integerParser(1, 1_000_000))
    .addOption(jsonOption())
    .action((target: AliasTarget, options: Options) => showHistory(cli, target, options));
}

export interface AliasTarget {
  readonly model: string;
  readonly alias: string | undefined;
}

export function parseNameOrAlias(text: string): AliasTarget {
  const { model, selector }: ModelReference = parseReference(text);
  if (selector.kind !== 'alias') {
    throw usageError(`expected NAME or NAME@alias, found "${text}"`);
  }
  return { model, alias: text.includes('@') ? selector.alias : undefined };
}

function showHistory(cli: Cli, { model, alias }: AliasTarget, options: Options): Promise<void> {
  return useRegistry(cli, options, async (registry) => {
    const rows: string[][] = [];
    let count = 0;
    for await (const event of registry.history(model, alias, { signal: cli.interrupts() })) {
      if (options.json === true) {
        await writeJson(cli, eventJson(event));
      } else {
        rows.push(rowOf(event));
      }
      count += 1;
      if (count === options.limit) {
        break;
      }
    }
    if (options.json !== true) {
      const titles = ['when', 'who', 'action', 'alias', 'from -> to', 'reason'];
      await cli.out.write(
        rows.length === 0
          ? 'no history\n'
          : formatTable(
              titles.map((title) => ({ title })),
              rows,
            ),
      );
    }
  });
}

function rowOf({ time, actor, action, alias, fromVersion, toVersion, reason }: AliasEvent): string[] {
  const name = actor === undefined || actor.name === '' ? 'unknown' : actor.name;
  const who = actor?.verified === true ? name : `${name} (unverified)`;
  return [
    formatTime(time),
    printable(who),
    actionName(action),
    alias,
    `${formatVersionNumber(fromVersion)} -> ${toVersion}`,
    printable(reason),
  ];
}
