import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Command } from 'commander';
import { checkArtifacts, parseCheck } from '../../../proto/wire/golden-check.ts';
import type { Manifest } from '../../../proto/wire/manifest.ts';
import type { Cli } from '../cli.ts';
import { usageError } from '../exit-codes.ts';
import { writeImported } from '../imported-folder.ts';
import { openPublishable } from '../open-publishable.ts';
import { jsonOption, parseReference } from '../options.ts';
import type { Publishable } from '../publishable.ts';
import { openPublished } from '../published-version.ts';
import { type RegistryOptions, useRegistry, withRegistry, writeJson } from '../registry-command.ts';
import { formatCount } from '../result-words.ts';

interface Options extends RegistryOptions {
  readonly json?: true;
}

/** `maskterial check PATH|MODEL` */
export function addCheck(program: Command, cli: Cli): void {
  withRegistry(
    program
      .command('check')
      .description(
        'load a model in this process as an inference server would, and run the golden check that its version carries',
      ),
    cli,
  )
    .argument('<what>', 'a bundle or what an import wrote, by its path; or a published NAME, NAME@alias or NAME:version')
    .addOption(jsonOption())
    .action((what: string, options: Options) => check(cli, what, options));
}

async function check(cli: Cli, what: string, options: Options): Promise<void> {
  const signal = cli.interrupts();
  if (existsSync(what)) {
    await checkAndTell(cli, what, await openPublishable(what, signal), options, signal);
    return;
  }
  if (/[/\\]/.test(what)) {
    // No reference has these: a path was meant.
    throw usageError(`${what}: no such file or folder`);
  }
  const reference = parseReference(what);
  await useRegistry(cli, options, async (registry) => {
    const { label, version } = await openPublished(registry, reference, signal);
    await checkAndTell(cli, label, version, options, signal);
  });
}

/** @throws ServiceError as `checkVersion` does. */
async function checkAndTell(
  cli: Cli,
  label: string,
  version: Publishable,
  { json }: Options,
  signal: AbortSignal,
): Promise<void> {
  const { manifest, manifestBytes, files } = version;
  const temporary = await mkdtemp(join(tmpdir(), 'maskterial-check-'));
  try {
    const folder = join(temporary, 'version');
    await writeImported(folder, manifestBytes, files);
    const { checkVersion } = await import('../../../inference/engine/check-version.ts');
    await checkVersion(manifest, label, folder, signal);
    const { cases, values } = await countChecks(manifest, folder);
    if (json === true) {
      await writeJson(cli, { checked: label, family: manifest.family, contract: manifest.contract, cases, values });
    } else {
      const met = `meets its golden check: ${formatCount(values, 'value')} in ${formatCount(cases, 'case')}`;
      await cli.out.write(`${label}: loads, and ${cases === 0 ? 'carries no golden check' : met}\n`);
    }
  } finally {
    await version.close();
    await rm(temporary, { recursive: true, force: true });
  }
}

async function countChecks(manifest: Manifest, folder: string): Promise<{ cases: number; values: number }> {
  const checks = await Promise.all(
    checkArtifacts(manifest).map(async ({ path }) => parseCheck(await readFile(join(folder, path)), path)),
  );
  const cases = checks.flatMap((each) => each.cases);
  return { cases: cases.length, values: cases.flatMap(({ outputs }) => outputs).reduce((sum, { data }) => sum + data.length, 0) };
}
