import type { Command } from 'commander';
import { type BatchOptions, createInferenceClient, type InferenceClient, type PredictOptions } from '../../inference-client.ts';
import type { Answer } from '../../prediction.ts';
import { DEFAULT_RETRY, NO_RETRY, SYSTEM_RETRY_DEPS } from '../../retry.ts';
import type { Cli } from '../cli.ts';
import { CocoFile } from '../coco-file.ts';
import { EarlierResults } from '../earlier-results.ts';
import { EXIT } from '../exit-codes.ts';
import { createFlakeFilter } from '../flake-filter.ts';
import { findImages, type FoundImages, type Input } from '../images.ts';
import { runPredictions } from '../predict-run.ts';
import { createProgress } from '../progress.ts';
import { messageOf } from '../report-error.ts';
import { requestRecord } from '../result-file.ts';
import { ResultFolder } from '../result-folder.ts';
import { formatCount } from '../result-words.ts';
import { askServingVersions } from '../serving-versions.ts';
import { createResultWriter, type ResultFormat, writeToAll } from '../result-writer.ts';
import { usedAddress } from '../options.ts';
import { addPredictOptions, callOptions, checkUsage, type PredictCommandOptions as Options } from './predict-options.ts';

/** `maskterial predict FILE|FOLDER...` */
export function addPredict(program: Command, cli: Cli): void {
  const command = program
    .command('predict')
    .description('find and classify flakes in images; a table for each, or CSV, or JSON Lines');
  addPredictOptions(command, cli).action((paths: string[], options: Options) => predict(cli, paths, options));
}

async function predict(cli: Cli, paths: readonly string[], options: Options): Promise<void> {
  checkUsage(options);
  const { out, overlay } = options;
  const except = [out, overlay].filter((path) => path !== undefined);
  const found = await findImages(paths, { isRecursive: options.recursive === true, except });
  await cli.err.write(notesOn(found, options));
  const { inputs } = found;
  const signal = cli.interrupts();
  const progress = createProgress(cli.err, inputs.length, 'images', cli.now);
  const client = createInferenceClient(
    { address: usedAddress('inference', options.inference), timeoutMs: options.timeout * 1000 },
    cli.retryDeps,
  );
  try {
    const batch = {
      ...callOptions(options),
      signal,
      ...patienceOf(options, (text) => progress.around(() => cli.err.write(text))),
    };
    const earlier = out === undefined ? undefined : await openEarlier(cli, out, client, batch, options);
    const draw = overlay === undefined ? undefined : await openOverlays(overlay, inputs);
    const text = createResultWriter(formatOf(options), cli.out);
    const { report, stoppedBy } = await runPredictions(inputs, {
      predict: (images, stop) => client.predictBatch(images, { ...batch, signal: stop }),
      earlier,
      filter: createFlakeFilter({ layers: options.layers, minAreaUm2: options.minAreaUm2 }),
      draw,
      writer: options.coco === undefined ? text : writeToAll([text, new CocoFile(options.coco, cli.now)]),
      progress,
      signal,
    });
    await cli.err.write(report.format(earlier?.outdatedCount));
    if (stoppedBy !== undefined) {
      throw stoppedBy;
    }
    if (report.hasFailures) {
      cli.setExitCode(EXIT.failed);
    }
  } finally {
    client.close();
  }
}

/** What draws is loaded only where it is needed: a third of the time that the command line takes to start. */
async function openOverlays(folder: string, inputs: readonly Input[]): Promise<(path: string, answer: Answer) => Promise<void>> {
  const { OverlayFiles } = await import('../overlay-files.ts');
  const paths = inputs.map(({ path }) => path);
  const overlays = await OverlayFiles.open(folder, paths);
  return (path, answer) => overlays.save(path, answer);
}

/** What is not done, and with what consequence, before anything is. */
function notesOn({ otherFileCount, folderCount }: FoundImages, { umPerPx }: Options): string {
  const scale = umPerPx === undefined ? 'maskterial: warning: no --um-per-px: areas are in pixels only\n' : '';
  const skipped = [
    ...(otherFileCount > 0
      ? [`${formatCount(otherFileCount, 'file')} that ${otherFileCount === 1 ? 'is' : 'are'} no image`]
      : []),
    ...(folderCount > 0 ? [`${formatCount(folderCount, 'folder')} within (--recursive looks into them)`] : []),
  ];
  return `${scale}${skipped.length === 0 ? '' : `maskterial: skipped ${skipped.join(' and ')}\n`}`;
}

type Patience = Required<Pick<BatchOptions, 'retryForMs' | 'silenceMs' | 'onTrouble' | 'onRecovery'>>;

function patienceOf({ retryFor, timeout }: Options, note: (text: string) => Promise<void>): Patience {
  // Nobody who reads standard error any more is no reason to end the run.
  const tell = (text: string): void => void note(text).catch(() => undefined);
  return {
    retryForMs: retryFor * 1000,
    silenceMs: timeout * 1000,
    onTrouble: (error) => tell(`maskterial: waiting up to ${retryFor} s: ${messageOf(error)}\n`),
    onRecovery: () => tell('maskterial: going on\n'),
  };
}

async function openEarlier(
  cli: Cli,
  path: string,
  client: InferenceClient,
  batch: PredictOptions & Patience & { readonly signal: AbortSignal },
  { keepOld }: Options,
): Promise<EarlierResults> {
  const folder = await ResultFolder.open(path, requestRecord(batch), cli.now());
  const settings = { ...batch, retry: DEFAULT_RETRY };
  return new EarlierResults({
    folder,
    serving: (image) =>
      askServingVersions(
        () => client.predict(image, { ...batch, retry: NO_RETRY }),
        settings,
        cli.retryDeps ?? SYSTEM_RETRY_DEPS,
      ),
    isKeepingOld: keepOld === true,
  });
}

function formatOf({ json, csv }: Options): ResultFormat {
  if (json === true) {
    return 'json';
  }
  return csv === true ? 'csv' : 'table';
}
