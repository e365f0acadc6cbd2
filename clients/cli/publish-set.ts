import { isMisconfigured, throwIfAborted } from '../../proto/wire/errors.ts';
import { asModelName } from '../../proto/wire/names.ts';
import type { RegistryClient } from '../registry-client.ts';
import type { Candidate } from './candidate.ts';
import type { Cli } from './cli.ts';
import { EXIT, exitCodeOf, usageError } from './exit-codes.ts';
import { outcomeJson, publishOne, uploadNote } from './publish-one.ts';
import type { PublishOptions } from './publish-options.ts';
import { PublishReport, type PublishRow } from './publish-report.ts';
import { useRegistry, writeJson } from './registry-command.ts';
import { aliasJson } from './registry-json.ts';
import { errorJson, errorLine } from './report-error.ts';
import { createUploadProgress, type UploadProgress } from './upload-progress.ts';

/**
 * Publishes one after the other and goes on after one that fails, unless the registry itself cannot be reached, is full, or its
 * store refuses it (`isMisconfigured`): then the rest is left. Ends with a table of all, and a failure's exit code where there was any.
 */
export async function publishSet(
  cli: Cli,
  candidates: readonly Candidate[],
  options: PublishOptions,
  signal: AbortSignal,
): Promise<void> {
  const report = new PublishReport(candidates.length);
  const isJson = options.json === true;
  const summarize = async (): Promise<void> => {
    await (isJson ? writeJson(cli, report.totals()) : cli.out.write(report.table()));
    await cli.err.write(report.failures());
  };
  await useRegistry(cli, options, async (registry) => {
    for (const [index, candidate] of candidates.entries()) {
      const progress = createUploadProgress(cli.err, `[${index + 1}/${candidates.length}] `);
      const row = await publishCandidate(registry, candidate, options, progress, signal);
      await progress.finish();
      report.add(row);
      if (isJson) {
        await writeJson(cli, rowJson(row));
      }
      if (signal.aborted) {
        await summarize();
        throwIfAborted(signal);
      }
      if (row.endsSet) {
        cli.setExitCode(exitCodeOf(row.error));
        break;
      }
      if (row.error !== undefined) {
        cli.setExitCode(EXIT.failed);
      }
    }
  });
  await summarize();
}

async function publishCandidate(
  registry: RegistryClient,
  candidate: Candidate,
  options: PublishOptions,
  progress: UploadProgress,
  signal: AbortSignal,
): Promise<PublishRow> {
  const { path } = candidate;
  let row: PublishRow = { path, endsSet: false };
  let isWithRegistry = false;
  try {
    progress.print(path);
    progress.working('importing');
    const publishable = await candidate.open(progress, signal);
    try {
      const model = asModelName(publishable.suggestedName ?? candidate.fallbackName);
      if (model === undefined) {
        throw usageError(`"${candidate.fallbackName}" is no name of a model: publish it by itself, with --model`);
      }
      row = { ...row, model };
      isWithRegistry = true;
      const outcome = await publishOne(registry, model, publishable, options, progress, signal);
      row = { ...row, outcome };
      progress.print(`${model}:${outcome.version.version} ${uploadNote(outcome, options)}`);
      const { promote, actor, reason } = options;
      if (promote !== undefined) {
        const { alias } = await registry.promote(model, outcome.version.version, promote, { actor, reason, signal });
        row = { ...row, alias };
        progress.print(`${model}@${alias.alias} -> ${model}:${alias.version}`);
      }
    } finally {
      await publishable.close();
    }
    await candidate.published?.();
    return row;
  } catch (error) {
    progress.print(errorLine(error));
    return { ...row, error, endsSet: isWithRegistry && (exitCodeOf(error) === EXIT.unavailable || isMisconfigured(error)) };
  }
}

function rowJson({ path, model, outcome, alias, error }: PublishRow): Record<string, unknown> {
  return {
    path,
    model: model ?? null,
    ...(outcome === undefined ? {} : { ...outcomeJson(outcome), promoted: alias === undefined ? null : aliasJson(alias) }),
    ...(error === undefined ? {} : { error: errorJson(error) }),
  };
}
