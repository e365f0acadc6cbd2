import type { Command } from 'commander';
import type { ModelReference } from '../../../proto/wire/names.ts';
import type { Cli } from '../cli.ts';
import { integerParser, jsonOption, parseReference, waitTimeoutOption } from '../options.ts';
import { type RegistryOptions, useRegistry, withRegistry, writeJson } from '../registry-command.ts';
import { rolloutJson } from '../rollout-text.ts';
import { waitUntilHeld } from '../rollout-wait.ts';
import { formatTime } from '../registry-json.ts';

interface Options extends RegistryOptions {
  readonly hold?: number;
  readonly wait?: number;
  readonly waitTimeout: number;
  readonly json?: true;
}

/** `maskterial prefetch NAME:version` */
export function addPrefetch(program: Command, cli: Cli): void {
  withRegistry(program.command('prefetch').description('make inference servers fetch a version ahead of its promotion'), cli)
    .argument('<version>', 'NAME:version, NAME@latest, or NAME@alias', parseReference)
    .option('--hold <seconds>', 'how long they keep it unless it is promoted; an hour by default', integerParser(1, 604_800))
    .option('--wait <n>', 'wait until so many servers hold it ready, or one says why it cannot', integerParser(1, 1_000_000))
    .addOption(waitTimeoutOption())
    .addOption(jsonOption())
    .action((reference: ModelReference, options: Options) => prefetch(cli, reference, options));
}

function prefetch(cli: Cli, reference: ModelReference, options: Options): Promise<void> {
  return useRegistry(cli, options, async (registry) => {
    const signal = cli.interrupts();
    const { version: found } = await registry.resolve(reference, { signal });
    const held = {
      model: reference.model,
      version: found?.version ?? 0,
      manifestDigest: found?.manifest?.digest ?? '',
    };
    const until = await registry.prefetch(held.model, held.version, { holdSeconds: options.hold, signal });
    const name = `${held.model}:${held.version}`;
    if (options.json === true) {
      await writeJson(cli, { model: held.model, version: held.version, held_until: until.toISOString() });
    } else {
      await cli.out.write(`${name} is fetched ahead and held until ${formatTime(until)}\n`);
    }
    if (options.wait === undefined) {
      return;
    }
    const late = AbortSignal.timeout(options.waitTimeout * 1000);
    const onProgress = (line: string): Promise<void> => cli.err.write(`${line}\n`);
    const rollout = await waitUntilHeld(registry, held, options.wait, { late, signal, onProgress });
    if (options.json === true) {
      await writeJson(cli, rolloutJson(held.model, rollout));
    } else {
      await cli.out.write(`${name} is held ready by ${options.wait} or more servers\n`);
    }
  });
}
