import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checkImage } from '../../../../../clients/import/m2f/check-image.ts';
import {
  applyLinear,
  convolve,
  groupNorm,
  layerNorm,
  type Lookup,
  matrixOf,
  planeOf,
  softmax,
} from '../../../../../clients/import/m2f/evaluate/arrays.ts';
import { evaluateBackbone, padImage } from '../../../../../clients/import/m2f/evaluate/evaluate-backbone.ts';
import { evaluateM2f } from '../../../../../clients/import/m2f/evaluate/evaluate-m2f.ts';
import { type M2fSettings, parseM2fSettings } from '../../../../../clients/import/m2f/settings.ts';
import { lookupIn, type M2fModel, randomM2f, TINY } from '../../../../support/m2f/random-model.ts';

const SMALLEST_NORMAL = 2 ** -1022;
const SMALLEST_FLOAT = 2 ** -149;

const settingsOf = ({ config }: M2fModel): M2fSettings => parseM2fSettings(Buffer.from(config), 'config.yaml');
const isSubnormal = (value: number): boolean => value !== 0 && Math.abs(value) < SMALLEST_NORMAL;
const filled = (length: number, value: number): Float64Array => new Float64Array(length).fill(value);
const isTiny = (value: number): boolean => value !== 0 && Math.abs(value) < 1e-60;

/** Everything in it. */
function valuesIn(value: unknown): number[] {
  if (value instanceof Float64Array) {
    return [...value];
  }
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(valuesIn) : [];
}

/** The model's tensors, other values in those whose names match. */
function changed(model: M2fModel, changes: readonly (readonly [RegExp, (value: number) => number])[]): Lookup {
  const stored = lookupIn(model);
  return async (name) => {
    const change = changes.find(([pattern]) => pattern.test(name))?.[1];
    const values = await stored(name);
    return change === undefined ? values : values.map(change);
  };
}

describe('values that are next to nothing', () => {
  it('do not last in the evaluation of a model, as subnormals least of all', async () => {
    const model = randomM2f(TINY);
    // Small factors, one after the other; the encoder's norms then neither raise nor lower what is left, 1e-310 or so.
    const lookup = changed(model, [
      [/^backbone\..*(norm\.bias|running_mean)$|pixel_decoder\..*bias$|\.0\.conv3\.norm\.weight$/, () => 0],
      [/(conv1|shortcut|input_proj\.\d\.0)\.weight$/, (value) => value * 1e-33],
      [/stem\.conv1\.norm\.weight$|shortcut\.norm\.weight$|input_proj\.\d\.1\.weight$/, () => SMALLEST_FLOAT],
      [/encoder\..*norm\d\.weight$/, () => 3.16e-3],
    ]);
    const answer = await evaluateM2f(settingsOf(model), lookup, checkImage(settingsOf(model), 2));
    assert.deepEqual(valuesIn(answer).filter(isSubnormal).slice(0, 3), []);
    assert.deepEqual(valuesIn(answer.encoderOutputs).filter(isTiny).slice(0, 3), []);
  });

  const weights = (length: number, value = 1): Float32Array => new Float32Array(length).fill(value);
  const halves = Float64Array.of(1e-63, -1e-63);
  const layers: Readonly<Record<string, () => Float64Array>> = {
    'a convolution': () =>
      convolve({ ...planeOf(1, 1, 2), data: filled(2, 1e-30) }, weights(1, 1e-40), undefined, { outputs: 1, kernel: 1 }).data,
    'a linear layer': () => applyLinear(matrixOf(1, 2, filled(2, 1e-30)), weights(2, 1e-40), undefined).data,
    'a layer norm': () => layerNorm(matrixOf(1, 2, halves), weights(2), weights(2, 0)).data,
    'a group norm': () => groupNorm({ ...planeOf(1, 1, 2), data: halves }, weights(1), weights(1, 0), 1).data,
    'a softmax': () => softmax(Float64Array.of(-700, 0)).subarray(0, 1),
  };
  for (const [name, run] of Object.entries(layers)) {
    it(`are 0 in what ${name} gives`, () => {
      const result = run();
      assert.deepEqual(result, new Float64Array(result.length));
    });
  }

  it('are 0 in an image whose colours are said to deviate as far', () => {
    const settings = settingsOf(randomM2f(TINY));
    const { data } = padImage({ ...settings, pixelStd: [1e308, 1e100, 1] }, checkImage(settings, 1));
    const colours = (2 / 3) * data.length;
    assert.deepEqual(data.subarray(0, colours), new Float64Array(colours));
    assert.ok(data.subarray(colours).some((value) => value > 1));
  });

  it('are 0 after a frozen norm', async () => {
    const model = randomM2f(TINY);
    const lookup = changed(model, [
      [/norm\.bias$|running_mean$/, () => 0],
      [/stem\.conv1\.norm\.weight$/, () => SMALLEST_FLOAT],
      [/res2\.0\.(conv3|shortcut)\.norm\.weight$/, () => 1e-30],
    ]);
    const { res2 } = await evaluateBackbone(
      settingsOf(model),
      lookup,
      padImage(settingsOf(model), checkImage(settingsOf(model), 1)),
    );
    assert.deepEqual(res2.data, new Float64Array(res2.data.length));
  });

  it('are what they are above that, infinities and what is no number too', () => {
    const data = Float64Array.of(1e-55, -1e-55, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN);
    assert.deepEqual(
      data.map((value) => applyLinear(matrixOf(1, 1, Float64Array.of(value)), weights(1), undefined).data[0] ?? 0),
      data,
    );
  });
});
