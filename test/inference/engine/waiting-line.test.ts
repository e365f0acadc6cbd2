import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { type Priority, WaitingLine } from '../../../inference/engine/waiting-line.ts';

function drain<T>(line: WaitingLine<T>): T[] {
  const items: T[] = [];
  for (let item = line.next(); item !== undefined; item = line.next()) {
    items.push(item);
  }
  return items;
}

test('high goes first, low last, first come first served within each', () => {
  const line = new WaitingLine<string>();
  for (const [item, priority] of [
    ['low 1', 'low'],
    ['normal 1', 'normal'],
    ['high 1', 'high'],
    ['low 2', 'low'],
    ['high 2', 'high'],
    ['normal 2', 'normal'],
  ] as const) {
    line.join(item, priority);
  }
  assert.equal(line.size, 6);
  assert.deepEqual([line.ahead('high'), line.ahead('normal'), line.ahead('low')], [2, 4, 6]);
  assert.deepEqual(drain(line), ['high 1', 'high 2', 'normal 1', 'normal 2', 'low 1', 'low 2']);
  assert.equal(line.size, 0);
});

for (const [waiting, later, overtaken] of [
  ['low', 'normal', 63],
  ['normal', 'high', 63],
  ['low', 'high', 127],
] as const) {
  test(`a stream of ${later} overtakes one of ${waiting} ${overtaken} times and no more`, () => {
    const line = new WaitingLine<string>();
    line.join('waits', waiting);
    let served = 0;
    for (line.join(later, later); line.next() !== 'waits'; line.join(later, later)) {
      served += 1;
    }
    assert.equal(served, overtaken);
  });
}

test('who leaves is not served, and leaves once', () => {
  const line = new WaitingLine<number>();
  line.join(1, 'normal');
  line.join(2, 'normal');
  assert.equal(line.leave(1), true);
  assert.equal(line.leave(1), false);
  assert.deepEqual(drain(line), [2]);
});

test('whatever comes and goes, equals keep their order', () => {
  const priority = fc.constantFrom<Priority>('high', 'normal', 'low');
  fc.assert(
    fc.property(fc.array(fc.option(priority, { nil: undefined }), { maxLength: 300 }), (steps) => {
      const line = new WaitingLine<{ readonly number: number; readonly priority: Priority }>();
      const served = new Map<Priority, number>();
      const serve = (): void => {
        const item = line.next();
        if (item !== undefined) {
          assert.ok(item.number > (served.get(item.priority) ?? -1));
          served.set(item.priority, item.number);
        }
      };
      for (const [number, step] of steps.entries()) {
        if (step === undefined) {
          serve();
        } else {
          const ahead = line.ahead(step);
          assert.ok(ahead >= 0 && ahead <= line.size);
          line.join({ number, priority: step }, step);
        }
      }
      while (line.size > 0) {
        serve();
      }
    }),
    { seed: 4, numRuns: 200 },
  );
});
