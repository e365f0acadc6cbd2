import { join } from 'node:path';
import type { Command } from 'commander';
import { takeOver } from '../bucket/take-over.ts';
import type { Cli } from '../cli.ts';
import { usageError } from '../exit-codes.ts';
import { writeImported } from '../imported-folder.ts';
import { openBundle } from '../open-publishable.ts';
import { parseModel } from '../options.ts';
import { withPublishOptions } from '../publish-options.ts';
import type { Publishable } from '../publishable.ts';
import { writeJson } from '../registry-command.ts';
import { formatBytes } from '../registry-json.ts';
import { formatTable, printable } from '../table.ts';
import { parseRecordName } from '../../zenodo/record.ts';
import { importRecord, type RecordOptions } from '../zenodo/import-record.ts';

interface Options extends RecordOptions {
  readonly name?: string;
  readonly out?: string;
}

const BUCKET = /^s3:/i;
const RECORD_OPTIONS = ['only', 'originalDeployment', 'downloads'];
const PUBLISH_OPTIONS = ['registry', 'timeout', 'create', 'promote', 'label', 'actor', 'reason'];

/** `maskterial import PATH`, `maskterial import s3://BUCKET/PREFIX`, `maskterial import zenodo:ID` */
export function addImport(program: Command, cli: Cli): void {
  const command = program
    .command('import')
    .description(
      'turn a MaskTerial bundle into an ONNX graph and a manifest; or publish every model of a bucket (s3://) or of a Zenodo record (zenodo:)',
    )
    .argument('<path>', 'a bundle: a folder or a zip; or s3://bucket/prefix, filled as <model>/<file>; or zenodo:15765516')
    .option('--name <model>', "the model's name; default: the bundle's own", parseModel)
    .option('--out <folder>', 'where to write; must not exist yet; default: a folder of the name here')
    .option('--only <pattern>', 'of a record: the bundles whose names match, * for anything; may be repeated', collect)
    .option('--original-deployment', 'of a record: the eight models of the original deployment')
    .option('--downloads <folder>', 'of a record: keep the downloaded files there; default: gone once published');
  withPublishOptions(command, cli).action((path: string, options: Options) => {
    const record = parseRecordName(path);
    if (record !== undefined) {
      refuseOptions(command, ['name', 'out', 'bundle'], 'is for a folder or zip');
      return importRecord(cli, record, options);
    }
    refuseOptions(command, RECORD_OPTIONS, 'is for zenodo: only');
    if (BUCKET.test(path)) {
      refuseOptions(command, ['name', 'out', 'bundle'], 'is for a folder or zip');
      return takeOver(cli, path, options);
    }
    if (/^zenodo:/i.test(path)) {
      throw usageError(`expected zenodo:<number of a record>, found "${path}"`);
    }
    refuseOptions(command, PUBLISH_OPTIONS, 'is for s3:// and zenodo: only: publish what was imported with maskterial publish');
    return importBundle(cli, path, options);
  });
}

/** An option that means nothing here is not passed over. */
function refuseOptions(command: Command, names: readonly string[], why: string): void {
  const given = names.find((name) => command.getOptionValueSource(name) === 'cli');
  if (given !== undefined) {
    throw usageError(`--${given === 'create' ? 'no-create' : kebab(given)} ${why}`);
  }
}

function kebab(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function collect(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value];
}

async function importBundle(cli: Cli, path: string, options: Options): Promise<void> {
  const bundle = await openBundle(path, cli.interrupts(), options);
  try {
    const name = options.name ?? bundle.suggestedName;
    const folder = options.out ?? (name === undefined ? undefined : join('.', name));
    if (folder === undefined) {
      throw usageError('the bundle suggests no name: give --name or --out');
    }
    await writeImported(folder, bundle.manifestBytes, bundle.files);
    if (options.json === true) {
      await writeJson(cli, importJson(folder, name, bundle));
    } else {
      await cli.out.write(importText(folder, name, bundle));
    }
  } finally {
    await bundle.close();
  }
}

function importText(folder: string, name: string | undefined, { manifest }: Publishable): string {
  const { family, kind, classes, artifacts } = manifest;
  const rows = artifacts.map(({ path, role, sizeBytes, digest }) => [printable(path), role, formatBytes(sizeBytes), digest]);
  const columns = [{ title: 'file' }, { title: 'role' }, { title: 'size', align: 'right' as const }, { title: 'digest' }];
  return [
    `${family} ${kind}${name === undefined ? '' : ` ${name}`}\n`,
    classes.length === 0 ? '' : `classes: ${classes.map((item) => `${item.index} ${printable(item.name)}`).join(', ')}\n`,
    formatTable(columns, rows, '  '),
    `written to ${folder}; publish it with: maskterial publish ${shellWord(folder)} --model ${name ?? 'NAME'}\n`,
  ].join('');
}

function importJson(folder: string, name: string | undefined, { manifest }: Publishable): Record<string, unknown> {
  return {
    folder,
    name: name ?? null,
    family: manifest.family,
    kind: manifest.kind,
    classes: manifest.classes,
    artifacts: manifest.artifacts.map(({ path, role, digest, sizeBytes }) => ({ path, role, digest, size_bytes: sizeBytes })),
  };
}

/** A path as a shell takes it. */
function shellWord(text: string): string {
  return /^[\w./:@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
