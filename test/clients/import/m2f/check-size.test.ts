import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checkImage } from '../../../../clients/import/m2f/check-image.ts';
import { CHECK_LIMITS, chooseCells } from '../../../../clients/import/m2f/check-size.ts';
import { type M2fSettings, parseM2fSettings } from '../../../../clients/import/m2f/settings.ts';
import { encodeCheck, MAX_CHECK_BYTES } from '../../../../proto/wire/golden-check.ts';
import { assertBundleError } from '../../../support/bundle-errors.ts';
import { configText, TINY } from '../../../support/m2f/random-model.ts';
import type { M2fShape } from '../../../support/m2f/shape.ts';

/** The widths of the published models. */
const PUBLISHED: M2fShape = {
  ...TINY,
  stem: 64,
  width: 64,
  outputs: 256,
  convs: 256,
  maskWidth: 256,
  encoderLayers: 6,
  heads: 8,
  hidden: 256,
  feedForward: 2048,
  decoderLayers: 9,
  queries: 100,
};

const settingsOf = (shape: M2fShape, depth: number): M2fSettings => {
  const changes = { 'TEST.DETECTIONS_PER_IMAGE': 1000, 'MODEL.RESNETS.DEPTH': depth };
  return parseM2fSettings(Buffer.from(configText(shape, changes)), 'config.yaml');
};

describe('the size of the image that a Mask2Former model is checked on', () => {
  const affordable: readonly (readonly [depth: number, queries: number, divisibility: number, cells: 1 | 2])[] = [
    [50, 100, 32, 2],
    [50, 100, 64, 2],
    [50, 100, 96, 2],
    [50, 100, 128, 2],
    [50, 100, 192, 2],
    [50, 100, 256, 1],
    [50, 300, 128, 2],
    [50, 1000, 64, 2],
    [101, 100, 32, 2],
    [101, 100, 64, 2],
    [101, 100, 96, 2],
    [101, 100, 128, 2],
    [101, 100, 192, 1],
    [101, 1000, 64, 1],
    [152, 100, 64, 2],
    [152, 100, 128, 2],
    [152, 300, 128, 2],
  ];
  for (const [depth, queries, divisibility, cells] of affordable) {
    it(`is ${cells} of the padding's cells: depth ${depth}, ${queries} queries, padding to multiples of ${divisibility}`, () => {
      assert.equal(chooseCells(settingsOf({ ...PUBLISHED, queries, divisibility }, depth), 'model.pth'), cells);
    });
  }

  const hostile: Readonly<Record<string, M2fShape>> = {
    'that attends for minutes': { ...TINY, encoderLayers: 64, decoderLayers: 63, queries: 1000, heads: 16 },
    'of published widths that pads far': { ...PUBLISHED, divisibility: 512 },
    // Whose image alone would have 200 MB.
    'that pads to the utmost': { ...TINY, divisibility: 8192, queries: 1 },
    // Five seconds, but 340 MB.
    'of more channels than memory': { ...TINY, stem: 8192, divisibility: 96 },
  };
  for (const [name, shape] of Object.entries(hostile)) {
    it(`is none of a model ${name}`, () => {
      assertBundleError(() => chooseCells(settingsOf(shape, 50), 'model.pth'), 'model.pth', 'UNSUPPORTED_MODEL');
    });
  }

  for (const [limit, most] of [
    ['work', 5e7],
    ['peakBytes', 2_200_000],
    ['fileBytes', 40_000],
  ] as const) {
    it(`is one cell where ${limit} would be beyond the limit with two`, () => {
      const settings = settingsOf({ ...TINY, divisibility: 64 }, 50);
      const choose = (value: number): 1 | 2 => chooseCells(settings, 'model.pth', { ...CHECK_LIMITS, [limit]: value });
      assert.deepEqual([choose(1.5 * most), choose(most)], [2, 1]);
      assertBundleError(() => choose(0.5 * most), 'model.pth', 'UNSUPPORTED_MODEL');
    });
  }

  it('keeps the largest check readable', () => {
    const queries = 360;
    const settings = settingsOf({ ...TINY, queries, divisibility: 256, maskWidth: 1 }, 50);
    const cells = chooseCells(settings, 'model.pth');
    const image = checkImage(settings, cells);
    const outputs = [
      { name: 'class_logits', shape: [queries, 2] },
      { name: 'mask_logits', shape: [queries, 64, 64 * cells] },
    ].map(({ name, shape }) => {
      const data = new Float32Array(shape.reduce((product, size) => product * size, 1)).fill(1.1);
      return { name, shape, data, absolute: 0.0001220703125, relative: 0, outliers: 1e6 / 3 };
    });
    const inputs = [{ name: 'image', shape: [image.height, image.width, 3], data: image.data }];
    const { byteLength } = encodeCheck({ cases: [{ name: 'image', inputs, outputs }] });
    assert.ok(byteLength <= MAX_CHECK_BYTES && byteLength > 0.95 * MAX_CHECK_BYTES, `${cells} cells: ${byteLength}`);
  });
});
