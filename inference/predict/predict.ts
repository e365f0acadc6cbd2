import { ServiceError, throwIfAborted } from '../../proto/wire/errors.ts';
import { type Background, findBackground } from './background.ts';
import { findClassRegions } from './class-regions.ts';
import { type ClassMask, findClassRuns } from './class-runs.ts';
import type { PixelClassifier } from './classifier.ts';
import type { ColourIndex, Colours } from './colours.ts';
import { contrastRows, contrastTable } from './contrast.ts';
import type { DecodedImage, Decoder } from './decoder.ts';
import { buildFlake, type Flake, type FlakeSettings } from './flake.ts';
import { meanContrast } from './mean-contrast.ts';
import type { Thresholds } from './thresholds.ts';

export type Stage = 'decode' | 'colours' | 'classify' | 'class-map' | 'geometry';

export interface StageTiming {
  readonly stage: Stage;
  readonly durationMs: number;
}

export interface PredictDeps {
  readonly decoder: Decoder;
  readonly classifier: PixelClassifier;
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
  readonly background: Background;
  readonly distinctColours: number;
  /** Background left out; what a class map is painted from. */
  readonly classMasks: readonly ClassMask[];
  readonly flakes: readonly Flake[];
  readonly timings: readonly StageTiming[];
}

/**
 * Classification only: image bytes to flakes. A pixel's class is a function of its colour and the image's background, so the
 * classifier sees each distinct colour once. `onStage` is told before each stage; `signal` is looked at there.
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

  await stages.begin('decode');
  const image = await deps.decoder.decode(bytes, signal);

  await stages.begin('colours');
  const colours = deps.colourIndex.collect(checked(image).rgb);
  const background = findBackground(colours);
  const contrasts = contrastTable(background);

  await stages.begin('classify');
  const classes = await classifyColours(colours, contrastRows(colours, contrasts), deps.classifier);

  await stages.begin('class-map');
  const classMasks = deps.colourIndex.withClasses(colours, classes, (classOfKey) => findClassRuns(image, classOfKey));

  await stages.begin('geometry');
  const flakes = findClassRegions(classMasks, settings.thresholds.sizeThreshold).map(({ region, classIndex }) => {
    const contrast = meanContrast(region.mask, image, contrasts);
    return buildFlake({ region, classIndex, falsePositiveProbability: 0, meanContrast: contrast }, settings);
  });

  const { width, height } = image;
  const timings = stages.end();
  return { width, height, background, distinctColours: colours.keys.length, classMasks, flakes, timings };
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

/** Tells of each stage, measures it, and goes no further once the signal is aborted. */
class Stages {
  readonly #clock: () => number;
  readonly #hearEvents: () => Promise<void>;
  readonly #onStage: (stage: Stage) => void;
  readonly #signal: AbortSignal;
  readonly #timings: StageTiming[] = [];
  #current: { readonly stage: Stage; readonly since: number } | undefined;

  constructor(clock: () => number, hearEvents: () => Promise<void>, onStage: (stage: Stage) => void, signal: AbortSignal) {
    this.#clock = clock;
    this.#hearEvents = hearEvents;
    this.#onStage = onStage;
    this.#signal = signal;
  }

  async begin(stage: Stage): Promise<void> {
    this.end();
    await this.#hearEvents();
    throwIfAborted(this.#signal);
    this.#onStage(stage);
    this.#current = { stage, since: this.#clock() };
  }

  end(): readonly StageTiming[] {
    if (this.#current !== undefined) {
      this.#timings.push({ stage: this.#current.stage, durationMs: this.#clock() - this.#current.since });
      this.#current = undefined;
    }
    return this.#timings;
  }
}
