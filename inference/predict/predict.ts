import { ServiceError } from '../../proto/wire/errors.ts';
import { type Background, findBackground } from './background.ts';
import { type ClassRegion, findClassRegions } from './class-regions.ts';
import { type ClassMask, findClassRuns } from './class-runs.ts';
import type { PixelClassifier } from './classifier.ts';
import type { ColourIndex, Colours } from './colours.ts';
import { type ContrastTable, contrastRows, contrastTable } from './contrast.ts';
import type { DecodedImage, Decoder } from './decoder.ts';
import { buildFlake, type Finding, type Flake, type FlakeSettings } from './flake.ts';
import { classByVote, findInstanceFlakes, ofOneClass } from './instance-flakes.ts';
import { findInstances, type Instance } from './instances.ts';
import { meanContrast } from './mean-contrast.ts';
import { postprocess } from './postprocess.ts';
import type { Segmenter } from './segmenter.ts';
import type { ShapeClassifier } from './shape-classifier.ts';
import { type Stage, Stages, type StageTiming } from './stages.ts';
import type { Thresholds } from './thresholds.ts';

/** The models of a pipeline: a classifier, a segmenter or both. */
export interface PredictDeps {
  readonly decoder: Decoder;
  readonly classifier?: PixelClassifier | undefined;
  readonly segmenter?: Segmenter | undefined;
  /** Judges what either found. */
  readonly shapeClassifier?: ShapeClassifier | undefined;
  readonly colourIndex: ColourIndex;
  /** Milliseconds from any fixed moment. */
  readonly clock?: () => number;
  /**
   * Waited for between two stages, so that what arrived meanwhile, such as a cancel, is heard: from one stage to the next the thread
   * would otherwise never look. Default: no pause.
   */
  readonly hearEvents?: () => Promise<void>;
}

export interface PredictSettings extends FlakeSettings {
  readonly thresholds: Thresholds;
}

export interface Prediction {
  readonly width: number;
  readonly height: number;
  /** Set when a classifier was used, as is the next one. */
  readonly background?: Background | undefined;
  readonly distinctColours?: number | undefined;
  /** Background left out; what a class map is painted from. None without a classifier. */
  readonly classMasks: readonly ClassMask[];
  readonly flakes: readonly Flake[];
  readonly timings: readonly StageTiming[];
}

/** What a classifier says of an image, and what it looked at. */
interface ClassMap {
  readonly background: Background;
  readonly contrasts: ContrastTable;
  readonly distinctColours: number;
  readonly classMasks: readonly ClassMask[];
}

/**
 * Image bytes to flakes. With a classifier alone they are the class map's; with a segmenter its instances, of the classes that the
 * class map gives them or, without a classifier, all of class 1. The classifier comes first: it takes a hundredth of the
 * segmenter's time, and finds the images that cannot be judged. `onStage` is told before each stage; `signal` is looked at there.
 * @throws ServiceError as `Decoder.decode` does; invalid-argument NO_BACKGROUND; the signal's reason when aborted.
 */
export async function predict(
  bytes: Uint8Array,
  deps: PredictDeps,
  settings: PredictSettings,
  onStage: (stage: Stage) => void,
  signal: AbortSignal,
): Promise<Prediction> {
  const { clock = () => performance.now(), hearEvents = () => Promise.resolve() } = deps;
  const stages = new Stages(clock, hearEvents, onStage, signal);

  if (deps.classifier === undefined && deps.segmenter === undefined) {
    throw new ServiceError('internal', 'INTERNAL', 'a pipeline without a model');
  }
  await stages.begin('decode');
  const image = checked(await deps.decoder.decode(bytes, signal));
  const classMap = deps.classifier && (await mapClasses(image, deps.classifier, deps.colourIndex, stages));
  const instances = deps.segmenter && (await segment(image, deps.segmenter, settings.thresholds, stages));
  const found = await findFlakes(classMap, instances, settings.thresholds, stages);
  const kept = deps.shapeClassifier === undefined ? found : await judge(found, deps.shapeClassifier, settings.thresholds, stages);
  const flakes = kept.map((finding) => {
    const contrast = classMap && meanContrast(finding.region.mask, image, classMap.contrasts);
    return buildFlake({ ...finding, meanContrast: contrast }, settings);
  });

  const timings = stages.end();
  const { width, height } = image;
  const { background, distinctColours, classMasks = [] } = classMap ?? {};
  return { width, height, background, distinctColours, classMasks, flakes, timings };
}

async function judge(
  found: readonly Finding[],
  classifier: ShapeClassifier,
  thresholds: Thresholds,
  stages: Stages,
): Promise<readonly Finding[]> {
  await stages.begin('postprocess');
  return postprocess(found, classifier, thresholds);
}

/** A pixel's class is a function of its colour and the image's background, so the classifier sees each distinct colour once. */
async function mapClasses(
  image: DecodedImage,
  classifier: PixelClassifier,
  colourIndex: ColourIndex,
  stages: Stages,
): Promise<ClassMap> {
  await stages.begin('colours');
  const colours = colourIndex.collect(image.rgb);
  const background = findBackground(colours);
  const contrasts = contrastTable(background);

  await stages.begin('classify');
  const classes = await classifyColours(colours, contrastRows(colours, contrasts), classifier);

  await stages.begin('class-map');
  const classMasks = colourIndex.withClasses(colours, classes, (classOfKey) => findClassRuns(image, classOfKey));
  return { background, contrasts, distinctColours: colours.keys.length, classMasks };
}

async function segment(
  image: DecodedImage,
  segmenter: Segmenter,
  thresholds: Thresholds,
  stages: Stages,
): Promise<readonly Instance[]> {
  await stages.begin('segment');
  const logits = await segmenter.segment(image);
  return findInstances(logits, image, thresholds, () => stages.pause());
}

async function findFlakes(
  classMap: ClassMap | undefined,
  instances: readonly Instance[] | undefined,
  thresholds: Thresholds,
  stages: Stages,
): Promise<readonly Finding[]> {
  if (instances !== undefined && classMap !== undefined) {
    await stages.begin('vote');
    const classed = classByVote(instances, classMap.classMasks, thresholds.minClassOccupancy);
    await stages.begin('geometry');
    return findInstanceFlakes(classed);
  }
  await stages.begin('geometry');
  return instances === undefined
    ? findClassRegions(classMap?.classMasks ?? [], thresholds.sizeThreshold).map(ofClassMap)
    : findInstanceFlakes(instances.map(ofOneClass));
}

function ofClassMap(found: ClassRegion): Finding {
  return { ...found, falsePositiveProbability: 0 };
}

async function classifyColours({ keys }: Colours, rows: Float32Array, classifier: PixelClassifier): Promise<Uint8Array> {
  const classes = await classifier.classify(rows, keys.length);
  if (classes.length !== keys.length) {
    throw new ServiceError('internal', 'INTERNAL', `the classifier gave ${classes.length} classes for ${keys.length} colours`);
  }
  return classes;
}

function checked(image: DecodedImage): DecodedImage {
  const { width, height, rgb } = image;
  if (rgb.length !== width * height * 3) {
    throw new ServiceError('internal', 'INTERNAL', `the decoder gave ${rgb.length} bytes for ${width} x ${height} pixels`);
  }
  return image;
}
