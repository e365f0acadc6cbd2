import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nextState, type VersionEvent, type VersionState } from '../../../inference/rollout/state.ts';

const EVENTS: readonly VersionEvent[] = [
  'fetch-begun',
  'fetch-done',
  'load-begun',
  'load-done',
  'load-undone',
  'failed',
  'retried',
  'retired',
  'wanted-again',
];

/** By state, what each event of the list above leads to; `-` cannot happen. */
const EXPECTED: Readonly<Record<VersionState, string>> = {
  wanted: 'fetching - - - - - - - -',
  fetching: '- fetched - - - failed - - -',
  fetched: '- - loading - - - - - -',
  loading: '- - - ready fetched failed - - -',
  ready: '- - ready ready ready - - draining -',
  draining: '- - - - - - - - fetched',
  failed: '- - - - - - wanted - -',
};

for (const [state, row] of Object.entries(EXPECTED)) {
  for (const [column, expected] of row.split(' ').entries()) {
    const event = EVENTS[column];
    test(`${state}, ${event}: ${expected}`, () => {
      assert.ok(event);
      if (expected === '-') {
        assert.throws(() => nextState(state as VersionState, event), Error);
      } else {
        assert.equal(nextState(state as VersionState, event), expected);
      }
    });
  }
}
