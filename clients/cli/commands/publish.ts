import type { Command } from 'commander';
import type { Candidate } from '../candidate.ts';
import type { Cli } from '../cli.ts';
import { usageError } from '../exit-codes.ts';
import { findPublishables } from '../find-publishables.ts';
import { openPublishable } from '../open-publishable.ts';
import { parseModel } from '../options.ts';
import { outcomeJson, publishOne, uploadNote } from '../publish-one.ts';
import { type PublishOptions, withPublishOptions } from '../publish-options.ts';
import { publishSet } from '../publish-set.ts';
import type { Publishable } from '../publishable.ts';
import { useRegistry, writeJson } from '../registry-command.ts';
import { aliasJson } from '../registry-json.ts';
import { createUploadProgress } from '../upload-progress.ts';
import { moveLine } from './promote.ts';

interface Options extends PublishOptions {
  readonly model?: string;
}

/** `maskterial publish PATH --model NAME`, `maskterial publish FOLDER_OF_BUNDLES ...` */
export function addPublish(program: Command, cli: Cli): void {
  const command = program
    .command('publish')
    .description('publish bundles as new versions of models: one, or all that are found, one after the other')
    .argument('<path...>', 'a bundle (folder or zip), a folder written by "maskterial import", or a folder of several of these')
    .option('--model <name>', "the model, for a single bundle; default: the bundle's own name", parseModel);
  withPublishOptions(command, cli).action((paths: string[], options: Options) => publish(cli, paths, options));
}

async function publish(cli: Cli, paths: readonly string[], options: Options): Promise<void> {
  const signal = cli.interrupts();
  const [path = ''] = paths;
  const bucket = paths.find((each) => /^s3:/i.test(each));
  if (bucket !== undefined) {
    throw usageError(`${bucket}: maskterial import takes a bucket over`);
  }
  const isNamed = options.model !== undefined || options.bundle !== undefined;
  if (paths.length > 1 && isNamed) {
    throw usageError('--model and --bundle name a single bundle: give one path');
  }
  if (isNamed) {
    return publishSingle(cli, await openPublishable(path, signal, options), undefined, options, signal);
  }
  const candidates: Candidate[] = [];
  for (const each of paths) {
    candidates.push(...(await findPublishables(each, options, signal)));
  }
  const [only] = candidates;
  if (paths.length === 1 && candidates.length === 1 && only !== undefined) {
    const publishable = await only.open(createUploadProgress(cli.err), signal);
    return publishSingle(cli, publishable, only.path === path ? undefined : only.fallbackName, options, signal);
  }
  await publishSet(cli, candidates, options, signal);
}

async function publishSingle(
  cli: Cli,
  publishable: Publishable,
  fallbackName: string | undefined,
  options: Options,
  signal: AbortSignal,
): Promise<void> {
  try {
    const named = options.model ?? publishable.suggestedName ?? fallbackName;
    if (named === undefined) {
      throw usageError('name the model with --model');
    }
    const model = parseModel(named);
    await useRegistry(cli, options, async (registry) => {
      const outcome = await publishOne(registry, model, publishable, options, createUploadProgress(cli.err), signal);
      const { version } = outcome;
      const isJson = options.json === true;
      if (!isJson) {
        await cli.out.write(
          `${model}:${version.version}  ${version.manifest?.digest ?? ''}  (${uploadNote(outcome, options)})\n`,
        );
      }
      const { promote, actor, reason } = options;
      const moved =
        promote === undefined ? undefined : await registry.promote(model, version.version, promote, { actor, reason, signal });
      if (isJson) {
        await writeJson(cli, { ...outcomeJson(outcome), promoted: moved === undefined ? null : aliasJson(moved.alias) });
      } else if (moved !== undefined) {
        await cli.out.write(moveLine(model, moved.alias, moved.previousVersion));
      }
    });
  } finally {
    await publishable.close();
  }
}
