import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { estimateCheckCost } from '../../../../clients/import/m2f/check-cost.ts';
import { checkImage } from '../../../../clients/import/m2f/check-image.ts';
import { evaluateM2f, type M2fAnswer } from '../../../../clients/import/m2f/evaluate/evaluate-m2f.ts';
import { parseM2fSettings } from '../../../../clients/import/m2f/settings.ts';
import { ExecutionCounter } from '../../../support/execution-counter.ts';
import { lookupIn, randomM2f, TINY } from '../../../support/m2f/random-model.ts';
import type { M2fShape } from '../../../support/m2f/shape.ts';

const EVALUATION = new URL('../../../../clients/import/m2f/evaluate/', import.meta.url);
/** What multiplies the terms of sums, in the evaluation's files. */
const PRODUCTS = [
  ['arrays.js', 'factor * (source[from + x * stride] ?? 0)'],
  ['arrays.js', 'factor * (data[first + column] ?? 0)'],
  ['arrays.js', 'factor * (data[second + column] ?? 0)'],
  ['arrays.js', 'factor * (data[third + column] ?? 0)'],
  ['arrays.js', 'factor * (data[fourth + column] ?? 0)'],
  ['evaluate-mask-decoder.js', 'factor * (source[at] ?? 0)'],
  ['evaluate-mask-decoder.js', '(q.data[row * width + c] ?? 0) * (k.data[at * width + c] ?? 0)'],
  ['evaluate-mask-decoder.js', '(shares[at] ?? 0) * (v.data[at * width + c] ?? 0)'],
] as const;
const POWERS = ['arrays.js', 'Math.exp('] as const;
const SAMPLES = ['evaluate-pixel-decoder.js', 'weight * (values.data[from + index] ?? 0)'] as const;
/** Of the samples' neighbours; the others are beside the map, on maps as small as these most: nobody knows before they are taken. */
const LEAST_SAMPLED = 0.1;

/** Of everything in it, once. */
function bytesOf(value: unknown): number {
  if (value instanceof Float64Array) {
    return value.byteLength;
  }
  const inner = typeof value === 'object' && value !== null ? Object.values(value) : [];
  return inner.reduce((sum: number, each) => sum + bytesOf(each), 0);
}

describe('the cost of a check of a Mask2Former model, as estimated', () => {
  let counter: ExecutionCounter | undefined;
  before(async () => {
    counter = await ExecutionCounter.open();
  });
  after(() => counter?.[Symbol.dispose]());

  const shapes: Readonly<Record<string, readonly [Partial<M2fShape>, cells: 1 | 2]>> = {
    'of a model as it is published, but small': [{}, 2],
    'on one cell of the padding': [{ divisibility: 64 }, 1],
    'of which the stem is most': [{ stem: 300, divisibility: 64 }, 2],
    'of which the backbone is most, its strides in the 1 x 1 convolutions': [{ width: 24, outputs: 64, isStrideIn1x1: true }, 2],
    'of a deeper backbone with groups': [{ width: 24, outputs: 32, groups: 4, blocks: [3, 4, 23, 3] }, 1],
    'of which the encoder is most': [{ encoderLayers: 12, heads: 8 }, 2],
    'of which the step to mask features is most': [{ convs: 128, maskWidth: 500 }, 2],
    'of which feed-forward and projections in the decoder are most': [{ hidden: 96, feedForward: 700, heads: 8, queries: 30 }, 2],
    'of which attention is most': [{ queries: 100, decoderLayers: 12, maskWidth: 4 }, 2],
    'of which mask logits are most': [{ queries: 61, maskWidth: 300, divisibility: 64 }, 1],
  };
  for (const [name, [change, cells]] of Object.entries(shapes)) {
    it(`is what an evaluation does and keeps: ${name}`, async () => {
      const model = randomM2f({ ...TINY, ...change });
      const settings = parseM2fSettings(Buffer.from(model.config), 'config.yaml');
      const side = settings.sizeDivisibility;
      const estimate = estimateCheckCost(settings, { height: side, width: cells * side });
      let answer: M2fAnswer | undefined;
      const executions = await counter?.count(async () => {
        answer = await evaluateM2f(settings, lookupIn(model), checkImage(settings, cells));
      });
      const countOf = ([file, piece]: readonly [string, string]): number => executions?.(new URL(file, EVALUATION), piece) ?? 0;
      const products = PRODUCTS.reduce((sum, line) => sum + countOf(line), 0);
      const sampled = countOf(SAMPLES);
      const tokens = (side * cells * side * 21) / 32 ** 2;
      // Four neighbours of four points on three levels.
      const samples = settings.pixelDecoder.layers * tokens * settings.pixelDecoder.width * 48;
      const powers = countOf(POWERS);
      assert.equal(estimate.products - samples, products);
      assert.ok(sampled <= samples && sampled > LEAST_SAMPLED * samples, `${samples} for samples, of ${sampled}`);
      assert.ok(estimate.products < 1.2 * (products + sampled));
      assert.equal(estimate.powers, powers);
      assert.equal(estimate.keptBytes, bytesOf(answer));
      assert.ok(estimate.peakBytes > estimate.keptBytes);
    });
  }
});
