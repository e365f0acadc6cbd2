import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { requireTensors, type StateDict } from '../../../clients/import/state-dict.ts';
import { assertBundleError } from '../../support/bundle-errors.ts';

const shapes = (entries: Readonly<Record<string, readonly number[]>>): StateDict => ({
  tensors: new Map(
    Object.entries(entries).map(([name, shape]) => [
      name,
      { storageKey: '0', element: 'float32', storageElements: 100, offset: 0, shape, stride: [] },
    ]),
  ),
  metadata: undefined,
});

describe('required tensors', () => {
  const expected = {
    required: new Map([
      ['a', [2, 3]],
      ['b', [2]],
    ]),
    ignored: new Set(['log']),
  };

  it('are given without the ignored ones', () => {
    assert.deepEqual([...requireTensors(shapes({ b: [2], log: [9], a: [2, 3] }), expected, 'm.pth').keys()], ['b', 'a']);
    assert.deepEqual([...requireTensors(shapes({ a: [2, 3], b: [2] }), expected, 'm.pth').keys()], ['a', 'b']);
  });

  it('that are missing, unexpected and misshapen are listed in one error', () => {
    const message = assertBundleError(() => requireTensors(shapes({ a: [3, 2], extra: [1] }), expected, 'm.pth'), 'm.pth');
    assert.match(message, /missing: b;.*unexpected: "extra";.*a \(3, 2\) instead of \(2, 3\)/);
  });

  it('that are many leave the error readable', () => {
    const many = Object.fromEntries(Array.from({ length: 5000 }, (_, index) => [`x${index}`.repeat(50), [1]]));
    assertBundleError(() => requireTensors(shapes(many), expected, 'm.pth'), 'm.pth');
  });
});
