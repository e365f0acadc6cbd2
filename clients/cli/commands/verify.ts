import type { Command } from 'commander';
import { type Verdict, verifyModel } from '../../verify.ts';
import type { Cli } from '../cli.ts';
import { EXIT } from '../exit-codes.ts';
import { jsonOption, parseModel } from '../options.ts';
import { type RegistryOptions, useRegistry, withRegistry, writeJson } from '../registry-command.ts';
import { formatBytes } from '../registry-json.ts';
import { printable } from '../table.ts';

/** For one call: a blob of gigabytes is one. */
const TIMEOUT_SECONDS = 3600;

interface Options extends RegistryOptions {
  readonly json?: true;
}

/** `maskterial verify [NAME]` */
export function addVerify(program: Command, cli: Cli): void {
  const command = program
    .command('verify')
    .description('read all stored files again and compare them with what the registry says');
  withRegistry(command, cli, TIMEOUT_SECONDS)
    .argument('[model]', 'only this model', parseModel)
    .addOption(jsonOption())
    .action((model: string | undefined, options: Options) => verify(cli, model, options));
}

function verify(cli: Cli, model: string | undefined, options: Options): Promise<void> {
  return useRegistry(cli, options, async (registry) => {
    const signal = cli.interrupts();
    const known = new Map<string, Verdict>();
    let versions = 0;
    let readBytes = 0;
    let wrong = 0;
    for (const name of model === undefined ? await namesOf(registry.listModels({ signal })) : [model]) {
      for await (const verified of verifyModel(registry, name, known, signal)) {
        const { version, findings, notices } = verified;
        versions++;
        readBytes += verified.readBytes;
        wrong += findings.length;
        if (options.json === true) {
          await writeJson(cli, {
            model: name,
            version: version.version,
            is_valid: findings.length === 0,
            findings: findings.map(({ path = null, digest, problem }) => ({ path, digest, problem })),
            notices: notices.map(({ path = null, digest, notice }) => ({ path, digest, notice })),
          });
          continue;
        }
        for (const { path = 'the manifest', digest, problem } of findings) {
          await cli.out.write(`${name}:${version.version}  ${printable(path)}  ${digest}: ${printable(problem)}\n`);
        }
        for (const { path = 'the manifest', digest, notice } of notices) {
          await cli.out.write(`${name}:${version.version}  ${printable(path)}  ${digest}: note: ${notice}\n`);
        }
      }
    }
    if (options.json !== true) {
      const state = wrong === 0 ? 'all as published' : `${wrong} wrong or missing`;
      await cli.out.write(`${versions} ${versions === 1 ? 'version' : 'versions'}, ${formatBytes(readBytes)} read: ${state}\n`);
    }
    if (wrong > 0) {
      cli.setExitCode(EXIT.failed);
    }
  });
}

async function namesOf(models: AsyncIterable<{ readonly name: string }>): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of models) {
    names.push(name);
  }
  return names;
}
