import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { readGoldens, recordOf } from './goldens.ts';
import { referencePath } from './reference-data.ts';
import type { TestSystem } from './system.ts';

const L2 = 'PP_L2_2DMatGMM';
/** The rectangle's sides: data/README.md, Tolerances. */
const SIDE_TOLERANCE_PX = 1e-3;

/**
 * Releases the reference's bundles on `system` and compares what Predict finds on every real micrograph with the golden flakes.
 *
 * On one image the reference's own three implementations differ by 3 pixels of the AMM class map, within its tolerance of 10;
 * flakes are to be equal where the class map is.
 */
export async function checkGoldenFlakes(t: TestContext, system: TestSystem): Promise<void> {
  const goldens = readGoldens(['AMM', 'GMM', 'MLP']);
  assert.ok(goldens.length >= 24, `${goldens.length} goldens`);
  const models = new Map<string, string>();
  for (const { head, bundlePath } of goldens) {
    if (!models.has(head)) {
      const model = `CLS_${head.replace('/', '_')}`;
      models.set(head, model);
      await system.release(bundlePath, model);
    }
  }
  await system.release(referencePath('bundles', 'postprocessing_models', 'L2', '2DMatGMM'), L2);
  for (const golden of goldens) {
    await t.test(`${golden.image} with ${golden.head}: ${golden.flakes.length} flakes`, async () => {
      const { flakes, summary, accepted } = await system.inference.predictFlakes(
        { path: golden.imagePath },
        { classification: models.get(golden.head), sizeThreshold: golden.sizeThreshold, includeReference: true },
      );
      assert.deepEqual(
        flakes.map(recordOf),
        golden.flakes.map(({ dict }) => dict),
      );
      for (const [index, { exact }] of golden.flakes.entries()) {
        const flake = flakes[index];
        assert.ok(Math.abs((flake?.maxSidePx ?? 0) - exact.max_sidelength) <= SIDE_TOLERANCE_PX);
        assert.ok(Math.abs((flake?.minSidePx ?? 0) - exact.min_sidelength) <= SIDE_TOLERANCE_PX);
      }
      const { b, g, r } = summary.background ?? {};
      assert.deepEqual([b, g, r], golden.background);
      assert.deepEqual(summary.models, accepted.models);
      assert.match(summary.models[0]?.manifestDigest ?? '', /^sha256:[0-9a-f]{64}$/);
      const judged = await system.inference.predictFlakes(
        { path: golden.imagePath },
        {
          classification: models.get(golden.head),
          postprocessing: L2,
          sizeThreshold: golden.sizeThreshold,
          scoreThreshold: golden.scoreThreshold,
        },
      );
      assert.deepEqual(
        judged.flakes.map(({ mask, falsePositiveProbability }) => [mask, falsePositiveProbability]),
        golden.judged.map(({ index, falsePositiveProbability }) => [flakes[index]?.mask, falsePositiveProbability]),
      );
    });
  }
}
