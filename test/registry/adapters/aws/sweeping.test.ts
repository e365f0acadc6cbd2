import assert from 'node:assert/strict';
import { it } from 'node:test';
import { startSweeping } from '../../../../registry/adapters/aws/sweeping.ts';
import { ManualClock } from '../../../support/registry/manual-clock.ts';

const DAY_MS = 24 * 3_600_000;

const restoreAbandoned = async (): Promise<void> => undefined;

it('sweeps now and every six hours what is a week old, and goes on after a failure', async () => {
  const clock = new ManualClock(30 * DAY_MS);
  const limits: number[] = [];
  const failures: unknown[] = [];
  const broken = new Error('no permission');
  const sweep = async (beforeMs: number): Promise<void> => {
    limits.push(beforeMs);
    if (limits.length === 1) {
      throw broken;
    }
  };
  const sweeping = startSweeping({ sweep, restoreAbandoned }, { clock, onLeftover: (error) => void failures.push(error) });
  await clock.untilSleeping(1);
  assert.deepEqual([limits, failures], [[23 * DAY_MS], [broken]]);
  clock.advance(DAY_MS / 4);
  await clock.untilSleeping(1);
  assert.deepEqual([limits.length, limits[1], failures.length], [2, 23.25 * DAY_MS, 1]);
  sweeping.stop();
  await new Promise(setImmediate);
  assert.deepEqual([clock.sleepers, limits.length], [0, 2]);
});

it('restores what was set aside for more than an hour, and sweeps although that fails', async () => {
  const clock = new ManualClock(30 * DAY_MS);
  const calls: [string, number][] = [];
  const failures: unknown[] = [];
  const broken = new Error('no permission');
  const store = {
    restoreAbandoned: async (beforeMs: number): Promise<void> => {
      calls.push(['restore', beforeMs]);
      throw broken;
    },
    sweep: async (beforeMs: number): Promise<void> => void calls.push(['sweep', beforeMs]),
  };
  const sweeping = startSweeping(store, { clock, onLeftover: (error) => void failures.push(error) });
  await clock.untilSleeping(1);
  sweeping.stop();
  assert.deepEqual(calls, [
    ['restore', 30 * DAY_MS - 3_600_000],
    ['sweep', 23 * DAY_MS],
  ]);
  assert.deepEqual(failures, [broken]);
});

it('a sweep that is stopped in the middle is no failure', async () => {
  const clock = new ManualClock();
  const failures: unknown[] = [];
  const sweep = (_: number, signal: AbortSignal): Promise<void> =>
    new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(new Error('aborted'))));
  const sweeping = startSweeping({ sweep, restoreAbandoned }, { clock, onLeftover: (error) => void failures.push(error) });
  sweeping.stop();
  await new Promise(setImmediate);
  assert.deepEqual([failures, clock.sleepers], [[], 0]);
});
