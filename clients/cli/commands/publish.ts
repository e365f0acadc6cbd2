import type { Command } from 'commander';
import { ModelKind } from '../../../proto/gen/maskterial/registry/v1/model.ts';
import type { Manifest } from '../../../proto/wire/manifest.ts';
import type { PublishedVersion, PublishProgress } from '../../publish.ts';
import type { RegistryClient } from '../../registry-client.ts';
import { type BundleOptions, withBundleOptions } from '../bundle-options.ts';
import type { Cli } from '../cli.ts';
import { usageError } from '../exit-codes.ts';
import { openPublishable } from '../open-publishable.ts';
import { auditOptions, jsonOption, type LabelMap, labelOption, parseAlias, parseModel } from '../options.ts';
import type { Publishable } from '../publishable.ts';
import { type RegistryOptions, useRegistry, withRegistry, writeJson } from '../registry-command.ts';
import { aliasJson, formatBytes, versionJson } from '../registry-json.ts';
import { createUploadProgress } from '../upload-progress.ts';
import { moveLine } from './promote.ts';

interface Options extends RegistryOptions, BundleOptions {
  readonly model?: string;
  readonly create: boolean;
  readonly promote?: string;
  readonly label?: LabelMap;
  readonly actor: string;
  readonly reason: string;
  readonly json?: true;
}

/** `maskterial publish PATH --model NAME` */
export function addPublish(program: Command, cli: Cli): void {
  const command = withBundleOptions(
    withRegistry(program.command('publish').description('publish a bundle as a new version of a model'), cli),
  )
    .argument('<path>', 'a bundle (folder or zip), or a folder written by "maskterial import"')
    .option('--model <name>', "the model; default: the bundle's own name", parseModel)
    .option('--no-create', 'fail when the model does not exist instead of creating it')
    .option('--promote <alias>', 'point this alias at the version afterwards', parseAlias)
    .addOption(labelOption('a label of the version; may be repeated'))
    .addOption(jsonOption())
    .action((path: string, options: Options) => publish(cli, path, options));
  for (const option of auditOptions()) {
    command.addOption(option);
  }
}

async function publish(cli: Cli, path: string, options: Options): Promise<void> {
  const signal = cli.interrupts();
  const publishable = await openPublishable(path, signal, options);
  try {
    const model = options.model ?? publishable.suggestedName;
    if (model === undefined) {
      throw usageError('name the model with --model');
    }
    await useRegistry(cli, options, (registry) => publishTo(cli, registry, parseModel(model), publishable, options, signal));
  } finally {
    await publishable.close();
  }
}

async function publishTo(
  cli: Cli,
  registry: RegistryClient,
  model: string,
  { manifest, manifestBytes, files }: Publishable,
  options: Options,
  signal: AbortSignal,
): Promise<void> {
  if (options.create) {
    const { created } = await registry.ensureModel({ name: model, kind: MODEL_KINDS[manifest.kind] }, { signal });
    if (created) {
      await cli.err.write(`created model ${model}\n`);
    }
  }
  const progress = createUploadProgress(cli.err);
  const onProgress = (event: PublishProgress): void => progress.show(event);
  let published: PublishedVersion;
  try {
    published = await registry.publishVersion({ model, manifestBytes, files, labels: options.label, onProgress }, { signal });
  } finally {
    await progress.finish();
  }
  const { version, created, uploadedBytes } = published;
  const isJson = options.json === true;
  const digest = version.manifest?.digest ?? '';
  if (!isJson) {
    const note = created ? `uploaded ${formatBytes(uploadedBytes)}` : 'published before with this very content';
    await cli.out.write(`${model}:${version.version}  ${digest}  (${note})\n`);
  }
  const moved =
    options.promote === undefined
      ? undefined
      : await registry.promote(model, version.version, options.promote, { actor: options.actor, reason: options.reason, signal });
  if (isJson) {
    const alias = moved === undefined ? null : aliasJson(moved.alias);
    await writeJson(cli, { ...versionJson(version), is_new: created, uploaded_bytes: uploadedBytes, promoted: alias });
  } else if (moved !== undefined) {
    await cli.out.write(moveLine(model, moved.alias, moved.previousVersion));
  }
}

const MODEL_KINDS: Readonly<Record<Manifest['kind'], ModelKind>> = {
  segmentation: ModelKind.MODEL_KIND_SEGMENTATION,
  classification: ModelKind.MODEL_KIND_CLASSIFICATION,
  postprocessing: ModelKind.MODEL_KIND_POSTPROCESSING,
  generic: ModelKind.MODEL_KIND_GENERIC,
};
