import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findBackground } from '../../../inference/predict/background.ts';
import { ColourIndex, type Colours } from '../../../inference/predict/colours.ts';
import { isServiceError } from '../../../proto/wire/errors.ts';

/** The three channels of one 2 x 4 image. */
const BLUE = [100, 101, 101, 250, 102, 110, 106, 107];
const GREEN = [20, 20, 19, 18, 26, 25, 30, 255];
const RED = [230, 228, 231, 235, 200, 230, 229, 10];

test('each channel has the mean around its mode, on the binary16 grid', () => {
  assert.deepEqual(findBackground(colours(BLUE, GREEN, RED)), { b: 102, g: 21.671875, r: 229.25 });
});

test('of equally frequent values the darkest is the mode', () => {
  const values = [50, 50, 90, 90, 91];
  assert.deepEqual(findBackground(colours(values, values, values)), { b: 50, g: 50, r: 50 });
});

test('the mean stays within 20 to 230 near both ends', () => {
  const dark = [22, 22, 19, 18];
  const bright = [228, 228, 231, 232];
  assert.deepEqual(findBackground(colours(dark, bright, dark)), { b: 22, g: 228, r: 22 });
});

test('a single pixel is its own background', () => {
  assert.deepEqual(findBackground(colours([20], [230], [101])), { b: 20, g: 230, r: 101 });
});

for (const [channel, b, g, r] of [
  ['b', [0, 19], [100, 100], [100, 100]],
  ['g', [100, 100], [231, 255], [100, 100]],
  ['r', [100, 100], [100, 100], [0, 255]],
  ['b,g,r', [0, 0], [0, 0], [0, 0]],
] as const) {
  test(`no pixel in range in ${channel} is an error that names it`, () => {
    assert.throws(
      () => findBackground(colours(b, g, r)),
      (error) =>
        isServiceError(error, 'invalid-argument') && error.reason === 'NO_BACKGROUND' && error.metadata['channel'] === channel,
    );
  });
}

function colours(b: readonly number[], g: readonly number[], r: readonly number[]): Colours {
  return new ColourIndex().collect(Uint8Array.from(b.flatMap((blue, at) => [r[at] ?? 0, g[at] ?? 0, blue])));
}
