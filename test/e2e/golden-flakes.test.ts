import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readGoldens, recordOf } from '../support/goldens.ts';
import { needsReferenceData, referenceData } from '../support/reference-data.ts';
import { TestSystem } from '../support/system.ts';

/** The rectangle's sides: data/README.md, Tolerances. */
const SIDE_TOLERANCE_PX = 1e-3;

/**
 * On one image the reference's own three implementations differ by 3 pixels of the AMM class map, within its tolerance of 10;
 * flakes are to be equal where the class map is.
 */
test('bundles go in, Predict gives the golden flakes of every real micrograph', needsReferenceData, async (t) => {
  if (referenceData === undefined) {
    return;
  }
  const goldens = readGoldens(['AMM', 'GMM']);
  assert.ok(goldens.length >= 24, `${goldens.length} goldens`);
  await using system = await TestSystem.start();
  const models = new Map<string, string>();
  for (const { head, bundlePath } of goldens) {
    if (!models.has(head)) {
      const model = `CLS_${head.replace('/', '_')}`;
      models.set(head, model);
      await system.release(bundlePath, model);
    }
  }
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
    });
  }
});
