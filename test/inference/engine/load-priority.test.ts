import assert from 'node:assert/strict';
import { test } from 'node:test';
import { LoadPriority, type PrioritySystem } from '../../../inference/engine/load-priority.ts';

/** Priorities that stay in memory; `mayRaise` as an unprivileged process may not. */
class FakePriorities implements PrioritySystem {
  readonly changes: string[] = [];
  readonly #of = new Map<number, number>();
  readonly #mayRaise: boolean;

  constructor(mayRaise: boolean) {
    this.#mayRaise = mayRaise;
  }

  own(): number {
    return 5;
  }

  set(id: number, priority: number): void {
    if (id === 404) {
      throw Object.assign(new Error('no such process'), { info: { code: 'ESRCH' } });
    }
    if (!this.#mayRaise && priority < (this.#of.get(id) ?? this.own())) {
      throw Object.assign(new Error('not permitted'), { info: { code: 'EACCES' } });
    }
    this.#of.set(id, priority);
    this.changes.push(`${id}:${priority}`);
  }

  threads(pid: number): readonly number[] {
    return [pid, pid + 1];
  }
}

function bench(mayRaise: boolean) {
  const system = new FakePriorities(mayRaise);
  const refusals: unknown[] = [];
  return { system, refusals, priority: new LoadPriority((error) => refusals.push(error), system) };
}

test('lowered while it loads; afterwards every thread has the own priority again', () => {
  const { system, refusals, priority } = bench(true);
  priority.lower(70);
  assert.deepEqual(system.changes.splice(0), ['70:6', '70:5', '70:15']);
  priority.lower(80);
  assert.deepEqual(system.changes.splice(0), ['80:15'], 'the way back is tried once');
  priority.restore(70);
  assert.deepEqual(new Set(system.changes), new Set(['70:5', '71:5']));
  assert.deepEqual(refusals, []);
});

test('where it cannot be raised again that is told once, and nothing is lowered any more', () => {
  const { system, refusals, priority } = bench(false);
  priority.lower(70);
  priority.restore(70);
  priority.lower(80);
  priority.restore(80);
  assert.deepEqual(system.changes, ['70:6']);
  assert.equal(refusals.length, 1);
});

test('a process that ended meanwhile says nothing of what is permitted', () => {
  const { system, refusals, priority } = bench(true);
  priority.lower(404);
  priority.restore(404);
  priority.lower(70);
  assert.deepEqual(refusals, []);
  assert.equal(system.changes.at(-1), '70:15');
});
