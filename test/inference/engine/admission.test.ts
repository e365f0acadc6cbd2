import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Admission, type Applicant } from '../../../inference/engine/admission.ts';

const NOW = 1_000_000;
const applicant: Applicant = { sizeBytes: 10, ahead: 0, engines: 2, deadlineMs: undefined };

function admission({ waiting = 0, sizeBytes = 10, runMs = [] as number[] } = {}): Admission {
  const made = new Admission({ maxWaiting: 4, maxWaitingBytes: 100 });
  for (let index = 0; index < waiting; index += 1) {
    made.joined(sizeBytes);
  }
  for (const durationMs of runMs) {
    made.measured(durationMs);
  }
  return made;
}

test('as many as the limit wait, and not one more', () => {
  assert.equal(admission({ waiting: 3 }).refusal(applicant, NOW), undefined);
  const refusal = admission({ waiting: 4 }).refusal(applicant, NOW);
  assert.deepEqual([refusal?.kind, refusal?.reason], ['resource-exhausted', 'QUEUE_FULL']);
});

test('nobody may come any more exactly when as many as the limit wait', () => {
  assert.equal(admission({ waiting: 3 }).fullness(2), undefined);
  const full = admission({ waiting: 4, runMs: [50] }).fullness(2);
  assert.deepEqual([full?.kind, full?.reason, full?.retryDelayMs], ['resource-exhausted', 'QUEUE_FULL', (50 * 5) / 2]);
  // Where none may wait a free engine may still be there.
  assert.equal(new Admission({ maxWaiting: 0, maxWaitingBytes: 100 }).fullness(2), undefined);
});

test('as many bytes as the limit wait, and not one more', () => {
  const waiting = admission({ waiting: 3, sizeBytes: 30 });
  assert.equal(waiting.refusal(applicant, NOW), undefined);
  assert.equal(waiting.refusal({ ...applicant, sizeBytes: 11 }, NOW)?.reason, 'QUEUE_FULL');
  waiting.left(30);
  assert.equal(waiting.refusal({ ...applicant, sizeBytes: 40 }, NOW), undefined);
  assert.equal(waiting.refusal({ ...applicant, sizeBytes: 41 }, NOW)?.reason, 'QUEUE_FULL');
});

test("a full queue's retry delay is the time that those who wait need, at the measured rate", () => {
  const full = admission({ waiting: 4, runMs: [50] });
  assert.equal(full.refusal(applicant, NOW)?.retryDelayMs, (50 * 5) / 2);
  full.measured(100);
  // A fifth of the way to the newest.
  assert.equal(full.refusal({ ...applicant, engines: 1 }, NOW)?.retryDelayMs, 60 * 5);
});

for (const [what, ahead, engines, leftMs, lateMs] of [
  ['the first in line waits for one turn and runs', 0, 1, 200, 0],
  ['a millisecond less', 0, 1, 199, 1],
  ['with two engines turns come twice as often', 0, 2, 150, 0],
  ['a millisecond less with two', 0, 2, 149, 1],
  ['those ahead come first', 3, 2, 300, 0],
  ['a deadline that passed', 3, 2, -5, 305],
] as const) {
  test(`${what}: ${leftMs} ms are ${lateMs === 0 ? 'enough' : 'not enough'}`, () => {
    const refusal = admission({ runMs: [100] }).refusal({ ...applicant, ahead, engines, deadlineMs: NOW + leftMs }, NOW);
    if (lateMs === 0) {
      assert.equal(refusal, undefined);
    } else {
      assert.deepEqual([refusal?.kind, refusal?.reason], ['resource-exhausted', 'DEADLINE_UNREACHABLE']);
      assert.equal(refusal?.retryDelayMs, lateMs);
    }
  });
}

test('without a measurement no deadline is judged, and without a deadline nothing is late', () => {
  assert.equal(admission().refusal({ ...applicant, deadlineMs: NOW + 1 }, NOW), undefined);
  assert.equal(admission().overdue(NOW - 1, NOW), undefined);
  assert.equal(admission({ runMs: [1e9] }).refusal(applicant, NOW), undefined);
  assert.equal(admission({ runMs: [1e9] }).overdue(undefined, NOW), undefined);
});

test('one that waited is overdue once a run would end after its deadline', () => {
  const measured = admission({ runMs: [100] });
  assert.equal(measured.overdue(NOW + 100, NOW), undefined);
  const refusal = measured.overdue(NOW + 99, NOW);
  assert.deepEqual([refusal?.kind, refusal?.reason, refusal?.retryDelayMs], ['resource-exhausted', 'DEADLINE_UNREACHABLE', 1]);
});
