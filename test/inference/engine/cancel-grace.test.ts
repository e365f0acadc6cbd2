import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cancelGraceMs } from '../../../inference/engine/cancel-grace.ts';

for (const [what, run, expected] of [
  ['a run that has longer to go than a new start takes is not waited for', { elapsedMs: 1000, runMs: 9000, reloadMs: 4000 }, 500],
  ['one that is nearly done may end', { elapsedMs: 6000, runMs: 9000, reloadMs: 4000 }, 13_000],
  ['as much left as a start takes: it may end', { elapsedMs: 5000, runMs: 9000, reloadMs: 4000 }, 14_000],
  ['one that takes longer than any before may have a little more', { elapsedMs: 60_000, runMs: 9000, reloadMs: 4000 }, 10_000],
  ['before any run was measured it gets the time of a start', { elapsedMs: 100, runMs: undefined, reloadMs: 4000 }, 14_000],
] as const) {
  test(`a cancelled heavy run: ${what}`, () => {
    assert.equal(cancelGraceMs(run), expected);
  });
}
