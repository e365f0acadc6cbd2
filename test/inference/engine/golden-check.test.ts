import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type RunTensors, runGoldenCheck } from '../../../inference/engine/golden-check.ts';
import { ServiceError } from '../../../proto/wire/errors.ts';
import type { CheckData, ExpectedTensor, GoldenCheck } from '../../../proto/wire/golden-check.ts';

const EXACT = { absolute: 0, relative: 0, outliers: 0 };

function check(...outputs: ExpectedTensor[]): GoldenCheck {
  return { cases: [{ name: 'one', inputs: [{ name: 'x', shape: [1], data: Uint8Array.of(1) }], outputs }] };
}

/** A model that gives this, whatever it is asked. */
function giving(data: CheckData, shape: readonly number[] = [data.length], name = 'y'): RunTensors {
  return async () => new Map([[name, { shape, data }]]);
}

async function problemOf(expected: ExpectedTensor, run: RunTensors): Promise<ServiceError | undefined> {
  try {
    await runGoldenCheck(check(expected), run, 'M:1');
    return undefined;
  } catch (error) {
    assert.ok(error instanceof ServiceError, String(error));
    assert.deepEqual([error.kind, error.reason], ['failed-precondition', 'GOLDEN_CHECK_FAILED']);
    assert.match(error.message, /^M:1: /);
    return error;
  }
}

const floats = (...values: number[]): ExpectedTensor => ({
  name: 'y',
  shape: [values.length],
  data: Float64Array.from(values),
  ...EXACT,
});

for (const [what, expected, found, isMet] of [
  ['equal', floats(1, 2), Float64Array.of(1, 2), true],
  ['off by one bit', floats(1, 2), Float64Array.of(1, 2 + 2 ** -51), false],
  ['at the absolute limit', { ...floats(1), absolute: 0.5 }, Float64Array.of(1.5), true],
  ['beyond the absolute limit', { ...floats(1), absolute: 0.5 }, Float64Array.of(0.4999), false],
  ['at the relative limit', { ...floats(-8), relative: 0.25 }, Float64Array.of(-10), true],
  ['beyond the relative limit', { ...floats(-8), relative: 0.25 }, Float64Array.of(-10.001), false],
  ['within both together', { ...floats(8), relative: 0.25, absolute: 1 }, Float64Array.of(11), true],
  ['as many outliers as allowed', { ...floats(1, 2, 3), outliers: 2 }, Float64Array.of(9, 2, 9), true],
  ['more outliers than allowed', { ...floats(1, 2, 3), outliers: 1 }, Float64Array.of(9, 2, 9), false],
  ['no number', { ...floats(1), absolute: 1e9 }, Float64Array.of(Number.NaN), false],
  ['infinite', { ...floats(1), absolute: 1e9 }, Float64Array.of(Number.POSITIVE_INFINITY), false],
] as const) {
  test(`an output is ${isMet ? 'accepted' : 'refused'} that is ${what}`, async () => {
    assert.equal((await problemOf(expected, giving(found))) === undefined, isMet);
  });
}

test('a refusal names the output, the worst element, both values and what is allowed', async () => {
  const error = await problemOf({ ...floats(1, 2, 3), absolute: 0.5 }, giving(Float64Array.of(2, 5, 3)));
  assert.match(error?.message ?? '', /"one".*output y: 2 of 3 elements.*0\.5 \+ 0 of it.*element 1: expected 2, found 5/);
  assert.deepEqual(error?.metadata, { output: 'y', expected: '2', found: '5' });
});

test('an output of another type, of another shape or none at all is refused whatever its values', async () => {
  const expected = { ...floats(1, 2), outliers: 2 };
  for (const [run, found] of [
    [giving(Float32Array.of(1, 2)), 'float32 [2]'],
    [giving(Float64Array.of(1, 2), [1, 2]), 'float64 [1, 2]'],
    [giving(Float64Array.of(1, 2), [2], 'z'), 'nothing'],
  ] as const) {
    assert.equal((await problemOf(expected, run))?.metadata['found'], found);
  }
});

test('a run that throws is a check that failed', async () => {
  const error = await problemOf(floats(1), () => Promise.reject(new Error('no such input')));
  assert.match(error?.message ?? '', /no such input/);
});

test('every case is run, with its own inputs and the outputs that it names', async () => {
  const asked: unknown[] = [];
  const both = { cases: [...check(floats(1)).cases, { ...check(floats(2)).cases[0], name: 'two' }] };
  const run: RunTensors = async (inputs, outputs) => {
    asked.push([inputs.map(({ name }) => name), outputs]);
    return new Map([['y', { shape: [1], data: Float64Array.of(asked.length) }]]);
  };
  await runGoldenCheck(both as GoldenCheck, run, 'M:1');
  assert.deepEqual(asked, [
    [['x'], ['y']],
    [['x'], ['y']],
  ]);
});
