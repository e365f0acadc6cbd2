import type { Command } from 'commander';
import { ArtifactRole } from '../../../proto/gen/maskterial/registry/v1/artifact.ts';
import type { Version } from '../../../proto/gen/maskterial/registry/v1/model.ts';
import type { Cli } from '../cli.ts';
import { jsonOption, type LabelMap, labelOption, parseModel } from '../options.ts';
import { type RegistryOptions, useRegistry, withRegistry, writeJson } from '../registry-command.ts';
import { formatBytes, formatLabels, formatTime, versionJson } from '../registry-json.ts';
import { deprecationText } from './deprecate.ts';
import { formatTable, printable } from '../table.ts';

interface Options extends RegistryOptions {
  readonly label?: LabelMap;
  readonly json?: true;
}

/** The column of a row that is left out where no version has one. */
const NOTE = 7;

/** `maskterial versions NAME` */
export function addVersions(program: Command, cli: Cli): void {
  withRegistry(program.command('versions').description("list a model's versions, newest first"), cli)
    .argument('<model>', 'its name', parseModel)
    .addOption(labelOption('only versions with this label; may be repeated'))
    .addOption(jsonOption())
    .action((model: string, options: Options) => listVersions(cli, model, options));
}

function listVersions(cli: Cli, name: string, options: Options): Promise<void> {
  return useRegistry(cli, options, async (registry) => {
    const signal = cli.interrupts();
    const { aliases } = await registry.getModel(name, { signal });
    const aliasesOf = (version: number): string[] =>
      aliases.filter((alias) => alias.version === version).map(({ alias }) => alias);
    const rows: string[][] = [];
    for await (const version of registry.listVersions(name, { labels: options.label, signal })) {
      if (options.json === true) {
        await writeJson(cli, { ...versionJson(version), aliases: aliasesOf(version.version) });
      } else {
        rows.push(rowOf(version, aliasesOf(version.version)));
      }
    }
    if (options.json !== true) {
      const columns = [
        { title: 'version', align: 'right' as const },
        { title: 'family' },
        { title: 'created' },
        { title: 'size', align: 'right' as const },
        { title: 'manifest' },
        { title: 'aliases' },
        { title: 'labels' },
        // Only where there is something to say.
        ...(rows.some((row) => row[NOTE] !== '') ? [{ title: 'note' }] : []),
      ];
      await cli.out.write(rows.length === 0 ? 'no versions\n' : formatTable(columns, rows));
    }
  });
}

/** The size is what an inference server fetches. */
function rowOf(
  { version, family, createTime, artifacts, manifest, labels, deprecation }: Version,
  aliases: readonly string[],
): string[] {
  const serving = artifacts.filter(({ role }) => role === ArtifactRole.ARTIFACT_ROLE_SERVING);
  const bytes = serving.reduce((sum, { blob }) => sum + Number(blob?.sizeBytes ?? 0), 0);
  const digest = manifest?.digest.slice(0, 'sha256:'.length + 12) ?? '';
  return [
    String(version),
    family,
    formatTime(createTime),
    formatBytes(bytes),
    digest,
    aliases.join(' '),
    printable(formatLabels(labels)),
    deprecation === undefined ? '' : deprecationText(deprecation.reason),
  ];
}
