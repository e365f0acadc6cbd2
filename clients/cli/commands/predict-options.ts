import { type Command, InvalidArgumentError, Option } from 'commander';
import { formatReference, type ModelReference } from '../../../proto/wire/names.ts';
import { MAX_BROKEN_CALLS, MAX_IMAGE_TRIES, type PredictOptions } from '../../inference-client.ts';
import type { Cli } from '../cli.ts';
import { usageError } from '../exit-codes.ts';
import { inferenceOption, integerParser, jsonOption, numberParser, parseReference } from '../options.ts';

/** What a run was asked for. */
export interface PredictCommandOptions {
  readonly classification?: ModelReference;
  readonly segmentation?: ModelReference;
  readonly postprocessing?: ModelReference;
  readonly scoreThreshold?: number;
  readonly minClassOccupancy?: number;
  readonly sizeThreshold?: number;
  readonly umPerPx?: number;
  readonly reference?: true;
  readonly recursive?: true;
  readonly layers?: readonly string[];
  readonly minAreaUm2?: number;
  readonly json?: true;
  readonly csv?: true;
  readonly coco?: string;
  readonly overlay?: string;
  readonly out?: string;
  readonly keepOld?: true;
  readonly retryFor: number;
  readonly timeout: number;
  readonly inference: string;
}

const HELP = `
Results come in the order of the names, whichever was finished first; file.2 comes before file.10.
With --out the same command goes on where an interrupted one stopped: an image is done when its content, the options and the
versions that answer are those of its result. Results of images done before are printed and exported again, as if done now.
An image that the server fails for a reason that may pass (its engine crashed) is tried ${MAX_IMAGE_TRIES} times, and one that it had
in hand when ${MAX_BROKEN_CALLS} calls broke is given up.`;

/** Declares them, with their help. */
export function addPredictOptions(command: Command, cli: Cli): Command {
  return command
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
    .option('-r, --recursive', 'images in the folders within a folder, too')
    .addOption(new Option('--layers <list>', 'only these, by number or name: "1,2 layers"').argParser(parseLayers))
    .addOption(
      new Option('--min-area-um2 <area>', 'only flakes of this area or more; needs --um-per-px').argParser(numberParser(0, 1e12)),
    )
    .addOption(jsonOption().conflicts('csv'))
    .option('--csv', 'CSV on standard output, one line a flake')
    .option('--coco <file>', 'write a COCO dataset: masks as compressed run lengths, for pycocotools')
    .option('--overlay <folder>', 'save each picture with outlines, legend and scale bar as PNG')
    .option('--out <folder>', 'keep a JSON file an image, with all flakes, and skip what is done when run again')
    .option('--keep-old', 'with --out: results of other versions than those that now answer count as done')
    .addOption(
      new Option('--retry-for <seconds>', 'wait this long for a server that is away or not ready')
        .argParser(numberParser(0, 86_400))
        .default(60),
    )
    .addOption(
      new Option('--timeout <seconds>', 'end when the server gives no sign of life for this long')
        .argParser(numberParser(0.001, 86_400))
        .default(300),
    )
    .addOption(inferenceOption(cli.env))
    .addHelpText('after', HELP);
}

/** @throws ServiceError usage for options that need others. */
export function checkUsage(options: PredictCommandOptions): void {
  if (options.classification === undefined && options.segmentation === undefined) {
    throw usageError('name a model with --classification or --segmentation');
  }
  if (options.minAreaUm2 !== undefined && options.umPerPx === undefined) {
    throw usageError('--min-area-um2 needs the scale of the images: --um-per-px');
  }
  if (options.keepOld === true && options.out === undefined) {
    throw usageError('--keep-old needs the folder of earlier results: --out');
  }
}

/** What the server is asked. */
export function callOptions(options: PredictCommandOptions): PredictOptions {
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

function parseLayers(text: string): string[] {
  const layers = text.split(',').map((layer) => layer.trim());
  if (layers.includes('')) {
    throw new InvalidArgumentError(`expected numbers or names of layers, apart by commas, found "${text}"`);
  }
  return layers;
}

function modelOption(role: 'classification' | 'segmentation' | 'postprocessing'): Option {
  return new Option(
    `--${role} <model>`,
    `the ${role} model: NAME (its alias "production"), NAME@alias or NAME:version`,
  ).argParser(parseReference);
}
