import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { decodeRunLengths, encodeRunLengths, rasterize } from '../../../proto/wire/run-length.ts';
import { encodeMask } from '../../support/mask-encoder.ts';
import { isError } from '../../support/service-errors.ts';

const EXAMPLES = [
  { name: 'nothing set', counts: '<', runs: [12] },
  { name: 'everything set', counts: '0<', runs: [0, 12] },
  { name: 'a step', counts: '444', runs: [4, 4, 4] },
  { name: 'negative differences', counts: 'P17300KO11400V1', runs: [32, 7, 3, 7, 3, 2, 2, 3, 3, 7, 3, 7, 41] },
];

for (const { name, counts, runs } of EXAMPLES) {
  test(`COCO's run lengths: ${name}`, () => {
    assert.deepEqual(decodeRunLengths(counts), runs);
    assert.equal(encodeRunLengths(runs), counts);
  });
}

test('lengths of any size come back', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 0, max: 2 ** 33 })), (lengths) => {
      assert.deepEqual(decodeRunLengths(encodeRunLengths(lengths)), lengths);
    }),
    { seed: 4, numRuns: 1000 },
  );
});

for (const [what, counts] of [
  ['an end within a number', '44P'],
  ['a character below the alphabet', '4/4'],
  ['a character above the alphabet', '4p4'],
  ['a character far above it', '7\u00ff'],
  ['a negative length', '7O6'],
  ['a negative length at the start', '1O'],
  ['a length without an end', 'PPPPPPPPPP'],
  ['a length beyond any image', `${'o'.repeat(12)}1`],
] as const) {
  test(`${what} is refused`, () => {
    assert.throws(() => decodeRunLengths(counts), isError('invalid-argument', 'INVALID_REQUEST'));
  });
}

test('rasterizes any window of any mask as the mask is', () => {
  const size = fc.integer({ min: 1, max: 12 });
  const offset = fc.integer({ min: -3, max: 12 });
  fc.assert(
    fc.property(
      size,
      size,
      fc.array(fc.boolean(), { minLength: 144, maxLength: 144 }),
      offset,
      offset,
      size,
      size,
      (w, h, bits, x, y, width, height) => {
        const isSet = (column: number, row: number): boolean =>
          column >= 0 && column < w && row >= 0 && row < h && bits[row * 12 + column] === true;
        const runs = decodeRunLengths(encodeMask(w, h, isSet).counts);
        const raster = rasterize(runs, h, { x, y, width, height });
        for (let row = 0; row < height; row += 1) {
          for (let column = 0; column < width; column += 1) {
            assert.equal(raster[row * width + column], isSet(x + column, y + row) ? 1 : 0);
          }
        }
      },
    ),
  );
});
