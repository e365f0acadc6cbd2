import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createChip } from '../../../clients/demo/chip.ts';
import { CLASSIFIED_LAYERS, deriveClassifier, type GaussianClass } from '../../../clients/demo/classifier.ts';
import { type Comparison, compareFlakes } from '../../../clients/demo/compare.ts';
import { DEMO_LIGHT } from '../../../clients/demo/exposure.ts';
import { createScene, type Scene, UM_PER_PX } from '../../../clients/demo/scene.ts';
import type { PixelClassifier } from '../../../inference/predict/classifier.ts';
import { ColourIndex } from '../../../inference/predict/colours.ts';
import { predict } from '../../../inference/predict/predict.ts';
import { DEFAULT_THRESHOLDS } from '../../../inference/predict/thresholds.ts';
import { decodeRunLengths } from '../../../proto/wire/run-length.ts';

const scene = createScene(1);

/** Nearest class within five standard deviations, with inverse matrices by cofactors. */
function gaussianClassifier(classes: Readonly<Record<string, GaussianClass>>): PixelClassifier {
  const gaussians = Object.entries(classes).map(
    ([
      key,
      {
        contrast,
        covariance_matrix: [[a, b, c], [, d, e], [, , f]],
      },
    ]) => {
      const cofactors = [d * f - e * e, c * e - b * f, b * e - c * d, a * f - c * c, b * c - a * e, a * d - b * b];
      const determinant = a * (cofactors[0] ?? 0) + b * (cofactors[1] ?? 0) + c * (cofactors[2] ?? 0);
      const [p = 0, q = 0, r = 0, s = 0, t = 0, u = 0] = cofactors.map((cofactor) => cofactor / determinant);
      return { layers: Number(key), contrast, p, q, r, s, t, u };
    },
  );
  return {
    classify: (contrast, count) =>
      Uint8Array.from({ length: count }, (_, row) => {
        let best = { layers: 0, square: 25 };
        for (const { layers, contrast: mean, p, q, r, s, t, u } of gaussians) {
          const x = (contrast[row * 3] ?? 0) - mean.b;
          const y = (contrast[row * 3 + 1] ?? 0) - mean.g;
          const z = (contrast[row * 3 + 2] ?? 0) - mean.r;
          const square = p * x * x + s * y * y + u * z * z + 2 * (q * x * y + r * x * z + t * y * z);
          best = square < best.square ? { layers, square } : best;
        }
        return best.layers;
      }),
  };
}

/** What the service's mathematics makes of a scene, without the service. */
async function compare({ picture, sample }: Scene, classes: Readonly<Record<string, GaussianClass>>): Promise<Comparison> {
  const { flakes } = await predict(
    new Uint8Array(),
    {
      decoder: { decode: () => Promise.resolve(picture) },
      classifier: gaussianClassifier(classes),
      colourIndex: new ColourIndex(),
    },
    { thresholds: DEFAULT_THRESHOLDS, umPerPx: UM_PER_PX, includeReference: false, classNames: new Map() },
    () => {},
    AbortSignal.timeout(60_000),
  );
  const found = flakes.map(({ classIndex, areaPx, areaUm2, centre, mask }) => ({
    layers: classIndex,
    areaPx,
    areaUm2: areaUm2 ?? Number.NaN,
    centre,
    runs: decodeRunLengths(mask.counts),
  }));
  return compareFlakes(sample, found, {
    layers: CLASSIFIED_LAYERS,
    sizeThresholdPx: DEFAULT_THRESHOLDS.sizeThreshold,
    umPerPx: UM_PER_PX,
    minIou: 0.8,
    maxCentreErrorPx: 3,
  });
}

describe('createScene', () => {
  it('is solved by its own classifier, whatever the seed', async () => {
    for (const each of [scene, createScene(2)]) {
      const { matches, problems } = await compare(each, each.classifier);
      assert.deepEqual(problems, []);
      assert.ok(matches.length >= 15);
    }
  });

  it('is not solved by a classifier for another oxide', async () => {
    const other = deriveClassifier(createChip(scene.chip.camera, 300, 156), DEMO_LIGHT);
    assert.ok((await compare(scene, other)).problems.length > 10);
  });

  it('is not solved by a classifier whose classes are off by one layer', async () => {
    const { 1: one, 2: two, 3: three, 4: four } = scene.classifier;
    assert.ok(one !== undefined && two !== undefined && three !== undefined && four !== undefined);
    const shifted = { 1: two, 2: three, 3: four, 4: one };
    assert.ok((await compare(scene, shifted)).problems.length > 10);
  });

  it('has a bare chip in the range of the background estimate, as the picture of a real one', () => {
    const [b, g, r] = scene.chip.substrate;
    assert.ok(b > 150 && b < 160 && g > 105 && g < 120 && r > 115 && r < 135);
  });
});
