import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nextAction } from '../../../inference/rollout/policy.ts';
import { type Situation, show, snapshotOf } from '../../support/policy-situation.ts';

for (const [what, expected, situation] of [
  [
    'at a start the light ones come first',
    'load a1; a=a1',
    { desired: { h: 'h1', a: 'a1' }, versions: { a1: 'fetched', h1: 'fetched' }, weights: { h1: 6 } },
  ],
  [
    'then the heavy ones',
    'load h1,a1; h=h1 a=a1',
    {
      desired: { h: 'h1', a: 'a1' },
      serving: { a: 'a1' },
      versions: { a1: 'ready', h1: 'fetched' },
      loaded: ['a1'],
      weights: { h1: 6 },
    },
  ],
  [
    'a heavy one alone waits for nothing',
    'load h1; h=h1',
    { desired: { h: 'h1', a: 'a1' }, versions: { a1: 'fetching', h1: 'fetched' }, weights: { h1: 6 } },
  ],
  [
    'what does not fit beside one that nobody wants any more waits until that one is out',
    'load a1; a=a1',
    {
      desired: { a: 'a1' },
      serving: { a: 'a1' },
      extras: ['y1'],
      versions: { a1: 'ready', x1: 'ready', y1: 'fetched' },
      loaded: ['a1', 'x1'],
      weights: { x1: 6, y1: 6 },
    },
  ],
  [
    'and until it is gone',
    'wait for news',
    {
      desired: { a: 'a1' },
      serving: { a: 'a1' },
      extras: ['y1'],
      versions: { a1: 'ready', x1: 'draining', y1: 'fetched' },
      loaded: ['a1'],
      draining: ['x1', 'a1'],
      weights: { x1: 6, y1: 6 },
    },
  ],
  [
    'then it is loaded',
    'load a1,y1; a=a1',
    {
      desired: { a: 'a1' },
      serving: { a: 'a1' },
      extras: ['y1'],
      versions: { a1: 'ready', y1: 'fetched' },
      loaded: ['a1'],
      weights: { y1: 6 },
    },
  ],
  [
    'where there is room for both nothing waits',
    'load a1,y1; a=a1',
    {
      desired: { a: 'a1' },
      serving: { a: 'a1' },
      extras: ['y1'],
      versions: { a1: 'ready', x1: 'ready', y1: 'fetched' },
      loaded: ['a1', 'x1'],
      weights: { x1: 4, y1: 6 },
    },
  ],
  [
    "an alias's successor does not wait for what serves until it is loaded",
    'load a2; a=a2',
    {
      desired: { a: 'a2' },
      serving: { a: 'a1' },
      versions: { a1: 'ready', a2: 'fetched' },
      loaded: ['a1'],
      weights: { a1: 6, a2: 6 },
    },
  ],
  [
    'unless unloading first is the choice',
    'load b1; b=b1',
    {
      desired: { a: 'a2', b: 'b1' },
      serving: { a: 'a1', b: 'b1' },
      versions: { a1: 'ready', a2: 'fetched', b1: 'ready' },
      loaded: ['a1', 'b1'],
      weights: { a1: 6, a2: 6 },
      isUnloadFirst: true,
    },
  ],
  [
    'then what was let go of drains',
    'wait for news',
    {
      desired: { a: 'a2', b: 'b1' },
      serving: { b: 'b1' },
      versions: { a1: 'draining', a2: 'fetched', b1: 'ready' },
      loaded: ['b1'],
      draining: ['a1'],
      weights: { a1: 6, a2: 6 },
      isUnloadFirst: true,
    },
  ],
  [
    'and its successor is loaded',
    'load a2,b1; a=a2 b=b1',
    {
      desired: { a: 'a2', b: 'b1' },
      serving: { b: 'b1' },
      versions: { a2: 'fetched', b1: 'ready' },
      loaded: ['b1'],
      weights: { a2: 6 },
      isUnloadFirst: true,
    },
  ],
  [
    'nothing is unloaded for what would not fit even then',
    'load a2,c1; a=a2 c=c1',
    {
      desired: { a: 'a2', c: 'c1' },
      serving: { a: 'a1', c: 'c1' },
      versions: { a1: 'ready', a2: 'fetched', c1: 'ready' },
      loaded: ['a1', 'c1'],
      weights: { a1: 4, c1: 5, a2: 6 },
      isUnloadFirst: true,
    },
  ],
  [
    'nor where another alias still serves it',
    'load a2,a1; a=a2 b=a1',
    {
      desired: { a: 'a2', b: 'a1' },
      serving: { a: 'a1', b: 'a1' },
      versions: { a1: 'ready', a2: 'fetched' },
      loaded: ['a1'],
      weights: { a1: 6, a2: 6 },
      isUnloadFirst: true,
    },
  ],
  [
    'nor where both fit',
    'load a2; a=a2',
    {
      desired: { a: 'a2' },
      serving: { a: 'a1' },
      versions: { a1: 'ready', a2: 'fetched' },
      loaded: ['a1'],
      weights: { a1: 5, a2: 5 },
      isUnloadFirst: true,
    },
  ],
  [
    'what serves leaves once for a successor that fails to load, not at each try',
    'wait for news',
    {
      desired: { a: 'a2' },
      serving: { a: 'a1' },
      versions: { a1: 'ready', a2: 'failed@0' },
      loaded: ['a1'],
      weights: { a1: 6 },
      failedWeights: { a2: 6 },
      isUnloadFirst: true,
    },
  ],
  [
    'it is tried again once there is room',
    'retry a2',
    {
      desired: { a: 'a2' },
      serving: { a: 'a1' },
      versions: { a1: 'ready', a2: 'failed@0' },
      loaded: ['a1'],
      weights: { a1: 4 },
      failedWeights: { a2: 6 },
      isUnloadFirst: true,
    },
  ],
  [
    'and in its time as a rule, where nothing is let go of for it',
    'wait 2000',
    {
      desired: { a: 'a2' },
      serving: { a: 'a1' },
      versions: { a1: 'ready', a2: 'failed@2000' },
      loaded: ['a1'],
      weights: { a1: 6 },
      failedWeights: { a2: 6 },
    },
  ],
  [
    'an omitted alias makes room first',
    'load ;',
    {
      desired: { b: 'b1' },
      serving: { a: 'a1' },
      versions: { a1: 'ready', b1: 'fetched' },
      loaded: ['a1'],
      weights: { a1: 6, b1: 6 },
    },
  ],
] satisfies (readonly [string, string, Situation])[]) {
  test(what, () => {
    assert.equal(show(nextAction(snapshotOf(situation))), expected);
  });
}
