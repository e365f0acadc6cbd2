import { type Command, Option } from 'commander';
import type { AliasEvent } from '../../../proto/gen/maskterial/registry/v1/model.ts';
import { ServiceError } from '../../../proto/wire/errors.ts';
import type { ModelReference } from '../../../proto/wire/names.ts';
import type { Cli } from '../cli.ts';
import { usageError } from '../exit-codes.ts';
import { integerParser, jsonOption, parseAlias, parseReference, parseTime } from '../options.ts';
import { type RegistryOptions, useRegistry, withRegistry, writeJson } from '../registry-command.ts';
import { actionName, eventJson, formatTime, formatVersionNumber } from '../registry-json.ts';
import { formatTable, printable } from '../table.ts';

interface Options extends RegistryOptions {
  readonly alias?: string;
  readonly limit?: number;
  readonly at?: Date;
  readonly json?: true;
}

/** `maskterial history NAME[@alias]` */
export function addHistory(program: Command, cli: Cli): void {
  withRegistry(program.command('history').description('who moved an alias, when and why, newest first'), cli)
    .argument('<model>', 'NAME for all its aliases, NAME@alias for one', parseNameOrAlias)
    .option('--alias <alias>', 'as NAME@alias', parseAlias)
    .option('--limit <n>', 'at most so many entries', integerParser(1, 1_000_000))
    .addOption(new Option('--at <time>', 'only where the alias pointed at this time').argParser(parseTime).conflicts('limit'))
    .addOption(jsonOption())
    .action((target: AliasTarget, options: Options) => {
      const named = withAlias(target, options.alias);
      return options.at === undefined ? showHistory(cli, named, options) : showTime(cli, named, options.at, options);
    });
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

function withAlias({ model, alias }: AliasTarget, option: string | undefined): AliasTarget {
  if (alias !== undefined && option !== undefined && alias !== option) {
    throw usageError(`${model}@${alias} and --alias ${option} are two aliases`);
  }
  return { model, alias: alias ?? option };
}

function showTime(cli: Cli, { model, alias }: AliasTarget, at: Date, options: Options): Promise<void> {
  if (alias === undefined) {
    throw usageError('--at needs an alias: NAME@alias');
  }
  return useRegistry(cli, options, async (registry) => {
    const event = await registry.aliasAt(model, alias, at, { signal: cli.interrupts() });
    if (event === undefined) {
      throw new ServiceError('not-found', 'ALIAS_NOT_FOUND', `${model}@${alias} did not exist at ${at.toISOString()}`);
    }
    if (options.json === true) {
      await writeJson(cli, eventJson(event));
      return;
    }
    const [when, who, action, , , reason] = rowOf(event);
    const why = reason === '' ? '' : `: ${reason}`;
    await cli.out.write(`${model}@${alias} -> ${model}:${event.toVersion} since ${when}, ${action} by ${who}${why}\n`);
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
