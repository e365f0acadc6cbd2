import { DEMO_CAMERA } from './camera.ts';
import { type Chip, createChip } from './chip.ts';
import { deriveClassifier, type GaussianClass } from './classifier.ts';
import { DEMO_LIGHT, expose, type Picture } from './exposure.ts';
import { createRandom } from './random.ts';
import { createSample, type Sample } from './sample.ts';

/** A picture, what is on it, and a classifier for it, from one set of physics. */
export interface Scene {
  readonly chip: Chip;
  readonly sample: Sample;
  readonly picture: Picture;
  readonly classifier: Readonly<Record<string, GaussianClass>>;
}

/** Of the 20x pictures that MaskTerial was made for. */
export const UM_PER_PX = 0.3844;
/** A wafer sold as 90 nm; the classifier knows it as measured, as a laboratory's would. */
export const OXIDE_NM = 88;

const WIDTH = 1920;
const HEIGHT = 1200;
/** Grey level of the bare chip's brightest channel: room below for four layers, and graphite saturates, as on real pictures. */
const EXPOSURE_GREY = 156;

/** The same seed gives the same scene. */
export function createScene(seed: number): Scene {
  const random = createRandom(seed);
  const chip = createChip(DEMO_CAMERA, OXIDE_NM, EXPOSURE_GREY);
  const sample = createSample(random, WIDTH, HEIGHT);
  return { chip, sample, picture: expose(sample, chip, DEMO_LIGHT, random), classifier: deriveClassifier(chip, DEMO_LIGHT) };
}
