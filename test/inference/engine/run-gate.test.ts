import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RunGate } from '../../../inference/engine/run-gate.ts';

test('a gate is open for as many runs as its limit', () => {
  const gate = new RunGate(2);
  gate.enter();
  assert.equal(gate.isOpen, true);
  gate.enter();
  assert.equal(gate.isOpen, false);
  gate.leave();
  assert.equal(gate.isOpen, true);
});

test('whoever listens takes a turn at being first, and hears nothing once it left', () => {
  const gate = new RunGate(1);
  const taken: string[] = [];
  const listen = (name: string) =>
    gate.listen(() => {
      if (gate.isOpen) {
        gate.enter();
        taken.push(name);
      }
    });
  listen('a');
  const leaveB = listen('b');
  listen('c');
  gate.enter();
  for (let run = 0; run < 4; run += 1) {
    gate.leave();
  }
  assert.deepEqual(taken, ['b', 'c', 'a', 'b']);
  leaveB();
  gate.leave();
  gate.leave();
  assert.deepEqual(taken.slice(4), ['a', 'c']);
});

test('whoever leaves twice takes no other along', () => {
  const gate = new RunGate(1);
  const heard: string[] = [];
  const hear = (): number => heard.push('either');
  gate.listen(hear);
  const leave = gate.listen(hear);
  leave();
  leave();
  gate.enter();
  gate.leave();
  assert.deepEqual(heard, ['either']);
});
