import { rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { EnvReader } from '../../../infra/process/env.ts';
import { asModelName } from '../../../proto/wire/names.ts';
import { DEFAULT_RETRY, SYSTEM_RETRY_DEPS } from '../../retry.ts';
import { downloadFile } from '../../zenodo/download.ts';
import { Fetcher } from '../../zenodo/fetcher.ts';
import { type RecordFile, readRecord, ZENODO_URL, type ZenodoRecord } from '../../zenodo/record.ts';
import { selectBundles } from '../../zenodo/select.ts';
import type { BundleOptions } from '../bundle-options.ts';
import type { Candidate } from '../candidate.ts';
import type { Cli } from '../cli.ts';
import { openBundle } from '../open-publishable.ts';
import type { PublishOptions } from '../publish-options.ts';
import { publishSet } from '../publish-set.ts';
import { formatBytes } from '../registry-json.ts';
import { formatCount } from '../result-words.ts';
import { printable } from '../table.ts';

export interface RecordOptions extends PublishOptions {
  readonly only?: readonly string[];
  readonly originalDeployment?: true;
  /** Where downloads are kept; without it they go once they are published. */
  readonly downloads?: string;
}

/** A transfer that stands still for so long does not go on. */
const IDLE_MS = 30_000;

/** Downloads, imports and publishes a Zenodo record's bundles, one after the other. */
export async function importRecord(cli: Cli, id: string, options: RecordOptions): Promise<void> {
  const signal = cli.interrupts();
  const reader = new EnvReader(cli.env);
  const { baseUrl, cache } = reader.finish({
    baseUrl: reader.text('MASKTERIAL_ZENODO', ZENODO_URL),
    cache: join(reader.text('XDG_CACHE_HOME', join(homedir(), '.cache')), 'maskterial', 'zenodo', id),
  });
  const retryDeps = cli.retryDeps ?? SYSTEM_RETRY_DEPS;
  const fetcher = new Fetcher(retryDeps, { retry: DEFAULT_RETRY, idleMs: IDLE_MS });
  const record = await readRecord(fetcher, baseUrl, id, signal);
  const files = selectBundles(record.files, {
    only: options.only ?? [],
    originalDeployment: options.originalDeployment === true,
  });
  const bytes = files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const title = record.title === undefined ? '' : ` "${printable(record.title)}"`;
  await cli.err.write(`record ${id}${title}: ${formatCount(files.length, 'bundle')} of ${formatBytes(bytes)}\n`);
  const folder = resolve(options.downloads ?? cache);
  const candidates = files.map((file): Candidate => {
    const bundleOptions = withLineage(options, record, file);
    const fallbackName = file.name.replace(/\.zip$/i, '');
    return {
      path: `zenodo:${id}/${file.name}`,
      fallbackName,
      open: async (progress, openSignal) => {
        const onProgress = (done: number, total: number): void => progress.fetching(file.name, done, total);
        const path = await downloadFile(file, folder, { fetcher, retryDeps, retry: DEFAULT_RETRY, onProgress }, openSignal);
        progress.working('importing');
        // A model has the name that it was published by, whatever the folders inside are called.
        const suggestedName = asModelName(fallbackName);
        const bundle = await openBundle(path, openSignal, bundleOptions);
        return { ...bundle, suggestedName: suggestedName ?? bundle.suggestedName };
      },
      // Until then it stays: what failed is tried again without another download.
      published: async () => {
        if (options.downloads === undefined) {
          await rm(join(folder, file.name), { force: true });
        }
      },
    };
  });
  await publishSet(cli, candidates, options, signal);
}

/** Where it comes from is known here; what the caller says goes before it. */
function withLineage(options: BundleOptions, { doi, licence, pageUrl }: ZenodoRecord, { name }: RecordFile): BundleOptions {
  return {
    ...options,
    sourceUrl: options.sourceUrl ?? `${pageUrl}/files/${encodeURIComponent(name)}`,
    ...(options.doi === undefined && doi !== undefined ? { doi } : {}),
    ...(options.licence === undefined && licence !== undefined ? { licence } : {}),
  };
}
