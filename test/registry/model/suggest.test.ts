import assert from 'node:assert/strict';
import { it } from 'node:test';
import * as fc from 'fast-check';
import { levenshtein, nearestNames, suggestion } from '../../../registry/model/suggest.ts';

it('finds what a name was meant as, nearest first', () => {
  const names = ['CLS_AMM_GrapheneH', 'CLS_AMM_GrapheneL', 'CLS_GMM_GrapheneH', 'SEG_M2F_WSe2L', 'production', 'canary'];
  for (const [name, expected] of [
    ['CLS_AMM_GrapheneX', ['CLS_AMM_GrapheneH', 'CLS_AMM_GrapheneL', 'CLS_GMM_GrapheneH']],
    ['cls_amm_grapheneh', ['CLS_AMM_GrapheneH', 'CLS_AMM_GrapheneL', 'CLS_GMM_GrapheneH']],
    ['prod', ['production']],
    ['prodcution', ['production']],
    ['canery', ['canary']],
    ['SEG', ['SEG_M2F_WSe2L']],
    ['entirely different', []],
    ['', []],
  ] as const) {
    assert.deepEqual(nearestNames(name, names), expected, name);
  }
});

it('writes a sentence, or nothing', () => {
  assert.equal(suggestion([]), '');
  assert.match(suggestion(['a', 'b']), /"a" or "b"/);
});

it('counts edits as the textbook does, up to the limit', () => {
  for (const [a, b, expected] of [
    ['kitten', 'sitting', 3],
    ['', 'abc', 3],
    ['abc', 'abc', 0],
    ['ab', 'ba', 2],
  ] as const) {
    assert.equal(levenshtein(a, b, 10), expected);
  }
  assert.equal(levenshtein('abc', 'xyz', 1), 2);
  assert.equal(levenshtein('a', 'abcdef', 2), 3);
  fc.assert(
    fc.property(fc.string(), fc.string(), (a, b) => {
      assert.equal(levenshtein(a, b, 1000), levenshtein(b, a, 1000));
      assert.ok(levenshtein(a, b, 1000) <= Math.max(a.length, b.length));
    }),
    { seed: 1 },
  );
});
