import type { Flake } from '../../proto/gen/maskterial/inference/v1/flake.ts';
import type { Version } from '../../proto/gen/maskterial/registry/v1/model.ts';
import { decodeRunLengths } from '../../proto/wire/run-length.ts';
import type { Prediction } from '../inference-client.ts';
import { CLASSIFIED_LAYERS } from './classifier.ts';
import { type Comparison, compareFlakes, type Expectation, type FoundFlake } from './compare.ts';
import type { Sample } from './sample.ts';
import { UM_PER_PX } from './scene.ts';

export const DEMO_EXPECTATION: Expectation = {
  layers: CLASSIFIED_LAYERS,
  sizeThresholdPx: 200,
  umPerPx: UM_PER_PX,
  // The service's opening takes a rim of about one pixel off every flake: 8 to 11 % of the smallest.
  minIou: 0.8,
  maxCentreErrorPx: 3,
};

/**
 * Compares an answer with what was put in. `problems` is empty only when every flake was found with its layers in its place,
 * nothing else was reported, and the answer came from the very version that was published, by number and by digest.
 */
export function judgePrediction(
  sample: Sample,
  { flakes, summary }: Pick<Prediction, 'flakes' | 'summary'>,
  published: Version,
): Comparison {
  const comparison = compareFlakes(sample, flakes.map(toFoundFlake), DEMO_EXPECTATION);
  const [used, ...others] = summary.models;
  const isPublished =
    used?.model === published.model && used.version === published.version && used.manifestDigest === published.manifest?.digest;
  if (isPublished && others.length === 0) {
    return comparison;
  }
  const names = summary.models.map(({ model, version, manifestDigest }) => `${model}:${version} ${manifestDigest}`);
  return { ...comparison, problems: [...comparison.problems, `the answer came from ${names.join(', ') || 'no version'}`] };
}

function toFoundFlake({ classIndex, areaPx, areaUm2, centre, mask }: Flake): FoundFlake {
  return {
    layers: classIndex,
    areaPx,
    areaUm2: areaUm2 ?? Number.NaN,
    centre: centre ?? { x: Number.NaN, y: Number.NaN },
    runs: decodeRunLengths(mask?.counts ?? ''),
  };
}
