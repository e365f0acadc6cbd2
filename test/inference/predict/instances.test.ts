import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { enlargeMask } from '../../../inference/predict/enlarge-mask.ts';
import { findInstances } from '../../../inference/predict/instances.ts';
import type { QueryLogits } from '../../../inference/predict/segmenter.ts';
import { instanceOf } from '../../support/m2f/instance.ts';
import { isError } from '../../support/service-errors.ts';
import { bitmapOf, draw, manyMasks } from './bitmaps.ts';

const KEEP_ALL = { scoreThreshold: 0, sizeThreshold: 0 };
const pass = (): Promise<void> => Promise.resolve();

/** Logits around 0 in large and small steps, so that edges, ties and whole cells of one sign occur. */
const anyLogit = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.float({ min: -30, max: 30, noNaN: true }), fc.constant(-9));

const anySmallMask = fc
  .record({ width: fc.integer({ min: 1, max: 7 }), height: fc.integer({ min: 1, max: 7 }) })
  .chain(({ width, height }) =>
    fc.record({
      width: fc.constant(width),
      height: fc.constant(height),
      logits: fc
        .array(anyLogit, { minLength: width * height, maxLength: width * height })
        .map((values) => Float32Array.from(values)),
      cutX: fc.integer({ min: 0, max: 3 }),
      cutY: fc.integer({ min: 0, max: 3 }),
    }),
  );

test('a mask enlarged is the one that the formula gives pixel by pixel, with its area and its sum of sigmoids', () => {
  fc.assert(
    fc.property(anySmallMask, ({ cutX, cutY, ...small }) => {
      const [width, height] = [small.width * 4 - cutX, small.height * 4 - cutY];
      const found = enlargeMask(small, width, height);
      const expected = instanceOf([0, 0], small.logits, small, { width, height });
      const pixels = bitmapOf(found.mask);
      assert.equal(draw(pixels), draw({ width, height, pixels: expected.mask }));
      const count = expected.mask.reduce((sum, pixel) => sum + pixel, 0);
      assert.equal(found.areaPx, count);
      const score = (0.5 * found.sigmoidSum) / (count + 1e-6);
      assert.ok(Math.abs(score - expected.score) < 5e-7, `${score} for ${expected.score}`);
    }),
    manyMasks,
  );
});

test('a score is the class score times the mean sigmoid of the mask, in single precision', async () => {
  const [instance] = await findInstances(uniform([[9, -9]], [2]), { width: 8, height: 8 }, KEEP_ALL, pass);
  const expected = Math.fround(Math.fround(1 / (1 + Math.exp(-18))) * Math.fround(64 / (1 + Math.exp(-2)) / (64 + 1e-6)));
  assert.ok(Math.abs((instance?.score ?? 0) - expected) < 1e-7);
});

test('instances come by falling score, equal ones by query; those at or below a threshold are left out', async () => {
  const logits = uniform(
    [
      [0, 0],
      [3, 0],
      [0, 0],
      [-4, 0],
      [3, 0],
      [9, 0],
    ],
    [30, 1, 30, 30, 1, -1],
  );
  const order = async (scoreThreshold: number, sizeThreshold: number): Promise<number[]> =>
    (await findInstances(logits, { width: 6, height: 5 }, { scoreThreshold, sizeThreshold }, pass)).map(({ query }) => query);
  assert.deepEqual(await order(0, 0), [1, 4, 0, 2, 3]);
  assert.deepEqual(await order(0.1, 29), [1, 4, 0, 2]);
  assert.deepEqual(await order(0.5, 0), [1, 4]);
  assert.deepEqual(await order(0, 30), []);
});

test('the threshold is compared in single precision: a score of 0.3 in it is not above 0.3', async () => {
  // A class score that is Math.fround(0.3), above the double 0.3.
  const logit = Math.log(0.3 / 0.7);
  const logits = uniform([[logit, 0]], [40]);
  const [instance] = await findInstances(logits, { width: 8, height: 8 }, KEEP_ALL, pass);
  assert.equal(instance?.score, Math.fround(0.3));
  assert.ok(instance.score > 0.3);
  assert.deepEqual(await findInstances(logits, { width: 8, height: 8 }, { scoreThreshold: 0.3, sizeThreshold: 0 }, pass), []);
});

test('a query that cannot pass is not enlarged, and between two that can it is asked whether to go on', async () => {
  const logits = uniform(
    [
      [3, 0],
      [-3, 0],
      [3, 0],
      [-3, 0],
      [3, 0],
    ],
    [1, 1, 1, 1, 1],
  );
  let pauses = 0;
  const stop = new Error('cancelled');
  const pause = async (): Promise<void> => {
    pauses += 1;
    if (pauses === 3) throw stop;
  };
  await assert.rejects(findInstances(logits, { width: 8, height: 8 }, { scoreThreshold: 0.5, sizeThreshold: 0 }, pause), stop);
  assert.equal(pauses, 3);
});

test('logits that do not fit the image are a defect of the model', async () => {
  const logits = uniform([[1, 0]], [1]);
  for (const [wrong, image] of [
    [logits, { width: 9, height: 8 }],
    [logits, { width: 8, height: 9 }],
    [
      { ...logits, queries: 2 },
      { width: 8, height: 8 },
    ],
    [
      { ...logits, classLogits: new Float32Array(3) },
      { width: 8, height: 8 },
    ],
  ] as const) {
    await assert.rejects(findInstances(wrong, image, KEEP_ALL, pass), isError('internal', 'INTERNAL'));
  }
});

test('logits that are not finite numbers are a defect of the model, not an image without flakes', async () => {
  const image = { width: 8, height: 8 };
  for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
    for (const wrong of [uniform([[1, bad]], [1]), uniform([[1, 0]], [bad])]) {
      await assert.rejects(findInstances(wrong, image, KEEP_ALL, pass), isError('internal', 'INTERNAL'));
    }
  }
});

/** Queries whose 2 x 2 masks have one logit each. */
function uniform(classes: readonly (readonly [number, number])[], masks: readonly number[]): QueryLogits {
  return {
    queries: classes.length,
    classLogits: Float32Array.from(classes.flat()),
    maskLogits: Float32Array.from(masks.flatMap((logit) => [logit, logit, logit, logit])),
    height: 2,
    width: 2,
  };
}
