import assert from 'node:assert/strict';
import { test } from 'node:test';
import { contrastRows, contrastTable } from '../../../inference/predict/contrast.ts';

test('both steps are rounded to binary16', () => {
  const { b } = contrastTable({ b: 110.4375, g: 20, r: 230 });
  const values = [90, 100, 109, 110, 111, 112].map((value) => b[value]);
  assert.deepEqual(values, [-0.18505859375, -0.0947265625, -0.01318359375, -0.00390625, 0.0048828125, 0.013671875]);
});

test('black is -1 and the background itself 0, in every channel', () => {
  const table = contrastTable({ b: 100, g: 20, r: 230 });
  assert.deepEqual([table.b[0], table.g[0], table.r[0]], [-1, -1, -1]);
  assert.deepEqual([table.b[100], table.g[20], table.r[230]], [0, 0, 0]);
  assert.equal(table.g[255], 11.75);
});

test('rows follow the keys, blue first', () => {
  const table = contrastTable({ b: 100, g: 50, r: 200 });
  const keys = Uint32Array.of((50 << 16) | (50 << 8) | 200, (100 << 16) | (75 << 8) | 50);
  assert.deepEqual([...contrastRows({ keys, counts: Uint32Array.of(1, 1) }, table)], [-0.5, 0, 0, 0, 0.5, -0.75]);
});
