import assert from 'node:assert/strict';
import { test } from 'node:test';
import { roundToHalf } from '../../../inference/predict/half.ts';

const CASES: readonly (readonly [what: string, value: number, half: number])[] = [
  ['zero', 0, 0],
  ['negative zero', -0, -0],
  ['one', 1, 1],
  ['tie to the even below', 1 + 2 ** -11, 1],
  ['tie to the even above', 1 + 3 * 2 ** -11, 1 + 2 ** -9],
  ['just over a tie', 1 + 2 ** -11 + 2 ** -40, 1 + 2 ** -10],
  ['just under a tie', 1 + 3 * 2 ** -11 - 2 ** -40, 1 + 2 ** -10],
  ['a negative tie', -1 - 3 * 2 ** -11, -1 - 2 ** -9],
  ['up into the next binade', 2 - 2 ** -12, 2],
  ['largest', 65504, 65504],
  ['rounds to the largest', 65519.999, 65504],
  ['tie with infinity', 65520, Number.POSITIVE_INFINITY],
  ['negative overflow', -1e9, Number.NEGATIVE_INFINITY],
  ['infinity', Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY],
  ['not a number', Number.NaN, Number.NaN],
  ['smallest normal', 2 ** -14, 2 ** -14],
  ['largest subnormal', 1023 * 2 ** -24, 1023 * 2 ** -24],
  ['subnormal to smallest normal', 1023.5 * 2 ** -24, 2 ** -14],
  ['smallest subnormal', 2 ** -24, 2 ** -24],
  ['subnormal tie to even', 2.5 * 2 ** -24, 2 ** -23],
  ['half of the smallest: tie to zero', 2 ** -25, 0],
  ['over half of the smallest', 1.0001 * 2 ** -25, 2 ** -24],
  ['grid of 32 to 64', 33 + 1 / 64 + 1 / 1000, 33 + 1 / 32],
  ['grid of 128 to 256', 154.81210801042786, 154.75],
];

for (const [what, value, half] of CASES) {
  test(`${what}: ${value}`, () => {
    assert.ok(Object.is(roundToHalf(value), half), `${roundToHalf(value)}`);
  });
}

test('every finite half is kept, and the middle of two neighbours goes to the one with the even mantissa', () => {
  for (let bits = 0; bits < 0x7bff; bits++) {
    const below = valueOf(bits);
    const above = valueOf(bits + 1);
    assert.equal(roundToHalf(below), below);
    assert.equal(roundToHalf(-below), -below);
    assert.equal(roundToHalf((below + above) / 2), bits % 2 === 0 ? below : above);
  }
});

function valueOf(bits: number): number {
  const exponent = bits >> 10;
  const mantissa = bits & 1023;
  return exponent === 0 ? mantissa * 2 ** -24 : (1024 + mantissa) * 2 ** (exponent - 25);
}
