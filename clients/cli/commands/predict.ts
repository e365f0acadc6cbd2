import { type Command, Option } from 'commander';
import { formatReference, type ModelReference } from '../../../proto/wire/names.ts';
import { createInferenceClient, type PredictOptions } from '../../inference-client.ts';
import type { Cli } from '../cli.ts';
import { EXIT, usageError } from '../exit-codes.ts';
import { findImages } from '../images.ts';
import { inferenceOption, integerParser, jsonOption, numberParser, parseReference, timeoutOption } from '../options.ts';
import { OverlayFiles } from '../overlay-files.ts';
import { formatFailures, runPredictions } from '../predict-run.ts';
import { createProgress } from '../progress.ts';
import { createResultWriter, type ResultFormat } from '../result-writer.ts';

interface Options {
  readonly classification?: ModelReference;
  readonly segmentation?: ModelReference;
  readonly postprocessing?: ModelReference;
  readonly scoreThreshold?: number;
  readonly minClassOccupancy?: number;
  readonly sizeThreshold?: number;
  readonly umPerPx?: number;
  readonly reference?: true;
  readonly json?: true;
  readonly csv?: true;
  readonly overlay?: string;
  readonly timeout: number;
  readonly inference: string;
}

/** `maskterial predict FILE|FOLDER...` */
export function addPredict(program: Command, cli: Cli): void {
  program
    .command('predict')
    .description('find and classify flakes in images; a table for each, or CSV, or JSON Lines')
    .argument('<path...>', 'images, and folders of images (jpg, jpeg, png, tif, tiff, webp)')
    .addOption(modelOption('classification'))
    .addOption(modelOption('segmentation'))
    .addOption(modelOption('postprocessing'))
    .addOption(new Option('--score-threshold <number>', 'in [0, 1]; the server uses 0.3').argParser(numberParser(0, 1)))
    .addOption(new Option('--min-class-occupancy <number>', 'in [0, 1]; the server uses 0.5').argParser(numberParser(0, 1)))
    .addOption(new Option('--size-threshold <pixels>', 'the server uses 200').argParser(integerParser(0, 0xffff_ffff)))
    .addOption(
      new Option('--um-per-px <number>', 'scale of the images, for areas in \u00b5m\u00b2').argParser(numberParser(1e-6, 1e6)),
    )
    .option('--reference', "add the original's own record to each flake (with --json)")
    .addOption(jsonOption().conflicts('csv'))
    .option('--csv', 'CSV on standard output, one line a flake')
    .option('--overlay <folder>', 'save each picture with outlines, legend and scale bar as PNG')
    .addOption(timeoutOption(300))
    .addOption(inferenceOption(cli.env))
    .action((paths: string[], options: Options) => predict(cli, paths, options));
}

async function predict(cli: Cli, paths: readonly string[], options: Options): Promise<void> {
  if (options.classification === undefined && options.segmentation === undefined) {
    throw usageError('name a model with --classification or --segmentation');
  }
  const inputs = await findImages(paths);
  const client = createInferenceClient({ address: options.inference, timeoutMs: options.timeout * 1000 }, cli.retryDeps);
  try {
    if (options.umPerPx === undefined) {
      await cli.err.write('maskterial: warning: no --um-per-px: areas are in pixels only\n');
    }
    const signal = cli.interrupts();
    const calls = { ...callOptions(options), signal };
    const overlays =
      options.overlay === undefined
        ? undefined
        : new OverlayFiles(
            options.overlay,
            inputs.map(({ path }) => path),
          );
    const writer = createResultWriter(formatOf(options), cli.out);
    await writer.begin();
    const { doneCount, flakeCount, failures, stoppedBy } = await runPredictions(inputs, {
      predict: (path) => client.predictFlakes({ path }, calls),
      draw: overlays && ((path, prediction) => overlays.save(path, prediction)),
      writer,
      progress: createProgress(cli.err, inputs.length, 'images', cli.now),
    });
    if (inputs.length > 1) {
      await cli.err.write(`${doneCount} of ${inputs.length} images done, ${flakeCount} flakes\n`);
    }
    await cli.err.write(formatFailures(failures, inputs.length));
    if (stoppedBy !== undefined) {
      throw stoppedBy;
    }
    if (failures.length > 0) {
      cli.setExitCode(EXIT.failed);
    }
  } finally {
    client.close();
  }
}

function modelOption(role: 'classification' | 'segmentation' | 'postprocessing'): Option {
  return new Option(
    `--${role} <model>`,
    `the ${role} model: NAME (its alias "production"), NAME@alias or NAME:version`,
  ).argParser(parseReference);
}

function callOptions(options: Options): PredictOptions {
  const { classification, segmentation, postprocessing, scoreThreshold, minClassOccupancy, sizeThreshold, umPerPx } = options;
  return {
    classification: classification && formatReference(classification),
    segmentation: segmentation && formatReference(segmentation),
    postprocessing: postprocessing && formatReference(postprocessing),
    scoreThreshold,
    minClassOccupancy,
    sizeThreshold,
    umPerPx,
    includeReference: options.reference === true,
  };
}

function formatOf({ json, csv }: Options): ResultFormat {
  if (json === true) {
    return 'json';
  }
  return csv === true ? 'csv' : 'table';
}
