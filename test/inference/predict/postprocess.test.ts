import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Finding } from '../../../inference/predict/flake.ts';
import { postprocess, roundToThousandth } from '../../../inference/predict/postprocess.ts';
import type { ShapeClassifier } from '../../../inference/predict/shape-classifier.ts';
import { shapeFeatures } from '../../../inference/predict/shape-features.ts';
import { isError } from '../../support/service-errors.ts';
import { publishedShapeClassifier } from '../../support/shape-classifier.ts';
import { type Bitmap, bitmap, regionOf } from './bitmaps.ts';

function paint(width: number, height: number, isSet: (x: number, y: number) => boolean): Bitmap {
  const pixels = Uint8Array.from({ length: width * height }, (_, at) => (isSet(at % width, Math.floor(at / width)) ? 1 : 0));
  return { width, height, pixels };
}

const L_SHAPE = paint(20, 20, (x, y) => (y >= 4 && y <= 13 && x >= 6 && x <= 8) || (y >= 11 && y <= 13 && x >= 6 && x <= 17));
const DISK = paint(25, 25, (x, y) => (x - 12) ** 2 + (y - 12) ** 2 <= 100);
const LINE = bitmap('......', '.####.', '......');
const POINT = bitmap('...', '.#.', '...');

const found = (map: Bitmap, falsePositiveProbability = 0): Finding => ({
  region: regionOf(map),
  classIndex: 1,
  falsePositiveProbability,
});
const at = (scoreThreshold: number) => ({ scoreThreshold });
/** Answers these, whatever it is asked. */
const answering = (...probabilities: number[]): ShapeClassifier => ({ judge: async () => Float64Array.from(probabilities) });

for (const [name, map, pixels, outlineLength, solidity, probability] of [
  ['an L shape', L_SHAPE, 57, 6.52388704376411, 0.5407407407407407, 0.295],
  ['a disk', DISK, 317, 3.885618048935585, 0.9473684210526315, 0.021],
] as const) {
  test(`the published check values: ${name}`, async () => {
    assert.equal(regionOf(map).areaPx, pixels);
    const features = shapeFeatures(regionOf(map));
    assert.ok(Math.abs((features?.outlineLength ?? 0) - outlineLength) < 1e-7);
    assert.equal(features?.solidity, solidity);
    const [judged] = await postprocess([found(map)], publishedShapeClassifier, at(0));
    assert.equal(judged?.falsePositiveProbability, probability);
  });
}

test('the probability replaces whatever score a finding had, and nothing else', async () => {
  const before = { ...found(DISK, 0.6), meanContrast: { b: 1, g: 2, r: 3 } };
  assert.deepEqual(await postprocess([before], answering(0.9), at(0.3)), [{ ...before, falsePositiveProbability: 0.1 }]);
});

test('what is not above the threshold is dropped, strictly and by the rounded value; the others keep their order', async () => {
  const findings = [DISK, L_SHAPE, DISK, L_SHAPE].map((map) => found(map));
  const kept = await postprocess(findings, answering(0.75, 0.5, 0.50049, 0.5006), at(0.5));
  assert.deepEqual(
    kept.map(({ region, falsePositiveProbability }) => [region.areaPx, falsePositiveProbability]),
    [
      [317, 0.25],
      [57, 0.499],
    ],
  );
});

test('a shape without area is certainly no flake and is not asked about', async () => {
  assert.equal(shapeFeatures(regionOf(LINE)), undefined);
  assert.equal(shapeFeatures(regionOf(POINT)), undefined);
  const asked: number[] = [];
  const classifier: ShapeClassifier = {
    judge: async (_features, count) => {
      asked.push(count);
      return new Float64Array(count).fill(0.875);
    },
  };
  const kept = await postprocess([found(LINE), found(DISK), found(POINT)], classifier, at(0.1));
  assert.deepEqual(
    kept.map(({ region, falsePositiveProbability }) => [region.areaPx, falsePositiveProbability]),
    [[317, 0.125]],
  );
  // 1 - 1 is not above 0 either.
  assert.deepEqual(await postprocess([found(LINE)], classifier, at(0)), []);
  assert.deepEqual(await postprocess([], classifier, at(0)), []);
  assert.deepEqual(asked, [1]);
});

test('a classifier that gives another number of answers is a defect', async () => {
  await assert.rejects(postprocess([found(DISK)], answering(), at(0)), isError('internal', 'INTERNAL'));
});

test('three decimals, ties to even', () => {
  const table = [
    [0.0625, 0.062],
    [0.1875, 0.188],
    [0.4375, 0.438],
    [0.3125, 0.312],
    [0.29549, 0.295],
    [0.9999, 1],
    [0, 0],
    [1, 1],
  ] as const;
  for (const [value, expected] of table) {
    assert.equal(roundToThousandth(value), expected, String(value));
  }
});
