import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { columnRunLengths } from '../../../inference/predict/column-runs.ts';
import { keepLargeComponents, labelComponents } from '../../../inference/predict/components.ts';
import { convexHull } from '../../../inference/predict/convex-hull.ts';
import { open } from '../../../inference/predict/morphology.ts';
import { traceOutline } from '../../../inference/predict/outline.ts';
import { findFilledRegions, type Region } from '../../../inference/predict/regions.ts';
import type { RunMask } from '../../../inference/predict/runs.ts';
import { countCommon } from '../../../inference/predict/vote.ts';
import { type Bitmap, bitmapOf, draw, manyMasks, openNaively, runsOf } from './bitmaps.ts';

/** Reads of a mask that a row may cost, whatever the step. */
const READS_A_ROW = 60;

/** The mask, and how often something was read from it. */
function counted(mask: RunMask): { readonly mask: RunMask; reads: number } {
  const count = { mask, reads: 0 };
  const watch = (array: Int32Array): Int32Array =>
    new Proxy(array, {
      get(target, key) {
        count.reads += 1;
        const value: unknown = Reflect.get(target, key, target);
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
  const { rowStart, start, end } = mask;
  return Object.assign(count, { mask: { ...mask, rowStart: watch(rowStart), start: watch(start), end: watch(end) } });
}

const SHAPES: Readonly<Record<string, (height: number) => Bitmap>> = {
  'one column, all of it': (height) => tall(1, height, () => true),
  'one column in pieces': (height) => tall(1, height, (_, y) => y % 12 < 6),
  'two columns that meet at the foot': (height) => tall(3, height, (x, y) => x !== 1 || y === height - 1),
  'a comb': (height) => tall(6, height, (x, y) => x === 0 || y % 2 === 0),
  'a staircase': (height) => tall(7, height, (x, y) => x === y % 7 || x === (y + 1) % 7),
};

const STEPS: Readonly<Record<string, (mask: RunMask, region: Region) => unknown>> = {
  opening: (mask) => open(mask),
  labelling: (mask) => labelComponents(mask, 8),
  'keeping large components': (mask) => keepLargeComponents(mask, 5),
  'filling and splitting': (mask) => findFilledRegions(mask),
  voting: (mask) => countCommon(mask, mask),
  'run lengths by column': (_, region) => columnRunLengths(region),
  'the hull': (_, region) => convexHull(region),
  'the outline': (_, region) => traceOutline(region),
};

for (const [shape, make] of Object.entries(SHAPES)) {
  for (const [step, work] of Object.entries(STEPS)) {
    test(`an image far higher than wide costs as much as it has rows: ${step} of ${shape}`, () => {
      const readsAt = (height: number): number => {
        const plain = runsOf(make(height));
        const whole = counted(plain);
        const region = findFilledRegions(plain).reduce((most, each) => (each.areaPx > most.areaPx ? each : most));
        const part = counted(region.mask);
        work(whole.mask, { ...region, mask: part.mask });
        return whole.reads + part.reads;
      };
      const [few, many] = [readsAt(1000), readsAt(8000)];
      assert.ok(many <= 8000 * READS_A_ROW, `${many} reads for 8000 rows`);
      assert.ok(many <= 8.1 * few + READS_A_ROW, `${many} reads for eight times the rows of ${few}`);
    });
  }
}

test('rows that are alike are opened as they are one by one', () => {
  const rows = fc.array(fc.tuple(fc.array(fc.boolean(), { minLength: 9, maxLength: 9 }), fc.integer({ min: 1, max: 8 })), {
    minLength: 1,
    maxLength: 8,
  });
  fc.assert(
    fc.property(rows, (groups) => {
      const pixels = groups.flatMap(([row, times]) => Array.from({ length: times }, () => row.map(Number)).flat());
      const map: Bitmap = { width: 9, height: pixels.length / 9, pixels: Uint8Array.from(pixels) };
      assert.equal(draw(bitmapOf(open(runsOf(map)))), draw(openNaively(map)));
    }),
    manyMasks,
  );
});

function tall(width: number, height: number, isSet: (x: number, y: number) => boolean): Bitmap {
  const pixels = Uint8Array.from({ length: width * height }, (_, at) => Number(isSet(at % width, Math.floor(at / width))));
  return { width, height, pixels };
}
