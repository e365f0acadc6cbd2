import assert from 'node:assert/strict';
import { test } from 'node:test';
import { buildFlake, type FlakeSettings } from '../../../inference/predict/flake.ts';
import { referenceFlake } from '../../../inference/predict/reference-flake.ts';
import { bitmap, regionOf } from './bitmaps.ts';

const SETTINGS: FlakeSettings = { includeReference: true, classNames: new Map([[2, '2 layers']]) };
const SQUARE = regionOf(bitmap('......', '.####.', '.####.', '.####.', '......'));

test('our own fields: inclusive box, pixel area, floats', () => {
  const { reference, ...own } = buildFlake({ region: SQUARE, classIndex: 2, falsePositiveProbability: 0.25 }, SETTINGS);
  assert.deepEqual(own, {
    classIndex: 2,
    layerName: '2 layers',
    areaPx: 12,
    centre: { x: 2.5, y: 2 },
    box: { x: 1, y: 1, width: 4, height: 3 },
    maxSidePx: 3,
    minSidePx: 2,
    score: 0.75,
    falsePositiveProbability: 0.25,
    mask: { height: 5, width: 6, counts: '632000004' },
  });
  assert.deepEqual(reference, {
    thickness: 2,
    size: 12,
    meanContrast: [0, 0, 0],
    center: [2, 2],
    maxSidelength: 3,
    minSidelength: 2,
    aspectRatio: 1.5,
    falsePositiveProbability: 0.25,
    entropy: 0,
    bbox: [1, 1, 3, 2],
  });
});

test('micrometres with a scale only, the reference on request only', () => {
  const finding = { region: SQUARE, classIndex: 2, falsePositiveProbability: 0 };
  const scaled = buildFlake(finding, { ...SETTINGS, umPerPx: 0.5, includeReference: false });
  assert.deepEqual([scaled.areaUm2, scaled.maxSideUm, scaled.minSideUm], [3, 1.5, 1]);
  assert.equal('reference' in scaled, false);
  const plain = buildFlake(finding, { ...SETTINGS, umPerPx: undefined });
  assert.equal('areaUm2' in plain || 'maxSideUm' in plain || 'minSideUm' in plain, false);
});

test('a class that the manifest does not name has a name all the same', () => {
  const flake = buildFlake({ region: SQUARE, classIndex: 7, falsePositiveProbability: 0 }, SETTINGS);
  assert.equal(flake.layerName, 'class 7');
});

for (const [what, rows, centre, sides] of [
  ['a pixel', ['...', '..#'], { x: 2, y: 1 }, [0, 0]],
  ['a row', ['.###'], { x: 2, y: 0 }, [2, 0]],
  ['a column', ['.', '#', '#'], { x: 0, y: 1.5 }, [1, 0]],
] as const) {
  test(`${what} encloses no area: the centre is the pixels' mean, nothing is NaN`, () => {
    const flake = buildFlake({ region: regionOf(bitmap(...rows)), classIndex: 1, falsePositiveProbability: 0 }, SETTINGS);
    assert.deepEqual(flake.centre, centre);
    assert.deepEqual([flake.maxSidePx, flake.minSidePx], sides);
    const numbers = JSON.stringify(flake, (_, value: unknown) => (Number.isNaN(value) ? 'NaN' : value));
    assert.ok(!numbers.includes('NaN') && Number.isFinite(flake.reference?.aspectRatio));
  });
}

for (const [max, min, ratio] of [
  [2.25, 1 - 1e-5, 2.2],
  [2.75, 1 - 1e-5, 2.8],
  [3, 1, 3],
  [7, 3, 2.3],
  [1, 0, 100_000],
  [0, 0, 0],
] as const) {
  test(`aspect ratio of ${max} to ${min} is ${ratio}`, () => {
    const flake = { region: SQUARE, classIndex: 1, falsePositiveProbability: 0, centre: { x: 0, y: 0 }, polygonArea: 6 };
    assert.equal(referenceFlake({ ...flake, maxSidePx: max, minSidePx: min }).aspectRatio, ratio);
  });
}

test('centre and sides are cut, not rounded', () => {
  const flake = { region: SQUARE, classIndex: 1, falsePositiveProbability: 0, centre: { x: 9.999, y: 0.9 }, polygonArea: 6 };
  const { center, maxSidelength, minSidelength } = referenceFlake({ ...flake, maxSidePx: 29.999998, minSidePx: 3.5 });
  assert.deepEqual([center, maxSidelength, minSidelength], [[9, 0], 29, 3]);
});
