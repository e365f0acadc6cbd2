import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nextAction } from '../../../inference/rollout/policy.ts';
import { type Situation, show, snapshotOf } from '../../support/policy-situation.ts';

for (const [what, expected, situation] of [
  ['nothing is wanted and nothing known', 'wait for news', {}],
  ['a wanted version is fetched', 'fetch a1', { desired: { a: 'a1' }, versions: { a1: 'wanted' } }],
  ['one that is being fetched is waited for', 'wait for news', { desired: { a: 'a1' }, versions: { a1: 'fetching' } }],
  [
    'all wanted versions are fetched before anything is loaded',
    'fetch b1',
    { desired: { a: 'a1', b: 'b1' }, versions: { a1: 'fetched', b1: 'wanted' } },
  ],
  ['a fetched version is loaded', 'load a1; a=a1', { desired: { a: 'a1' }, versions: { a1: 'fetched' } }],
  [
    'while the other is still fetched, one is loaded alone',
    'load a1; a=a1',
    { desired: { a: 'a1', b: 'b1' }, versions: { a1: 'fetched', b1: 'fetching' } },
  ],
  [
    'what serves is left alone',
    'wait for news',
    { desired: { a: 'a1' }, serving: { a: 'a1' }, versions: { a1: 'ready' }, loaded: ['a1'] },
  ],
  ...(['wanted', 'fetching', 'failed@9000'] as const).map(
    (state) =>
      [
        `an alias keeps what it serves while the new version is ${state}`,
        state === 'wanted' ? 'fetch a2' : state === 'fetching' ? 'wait for news' : 'wait 9000',
        { desired: { a: 'a2' }, serving: { a: 'a1' }, versions: { a1: 'ready', a2: state }, loaded: ['a1'] },
      ] as const,
  ),
  [
    'the new version is loaded in place of the old one',
    'load a2; a=a2',
    { desired: { a: 'a2' }, serving: { a: 'a1' }, versions: { a1: 'ready', a2: 'fetched' }, loaded: ['a1'] },
  ],
  [
    'what cannot be loaded does not keep others from their new version',
    'load b2,a1; b=b2 a=a1',
    {
      desired: { b: 'b2', a: 'a2' },
      serving: { a: 'a1', b: 'b1' },
      versions: { a1: 'ready', b1: 'ready', a2: 'failed@9000', b2: 'fetched' },
      loaded: ['a1', 'b1'],
    },
  ],
  [
    'omission unloads',
    'load a1; a=a1',
    { desired: { a: 'a1' }, serving: { a: 'a1', b: 'b1' }, versions: { a1: 'ready', b1: 'ready' }, loaded: ['a1', 'b1'] },
  ],
  ['omission of the last one unloads everything', 'load ;', { serving: { a: 'a1' }, versions: { a1: 'ready' }, loaded: ['a1'] }],
  [
    'two aliases on one version load it once',
    'load a1; a=a1 c=a1',
    { desired: { a: 'a1', c: 'a1' }, versions: { a1: 'fetched' } },
  ],
  [
    'an alias moves to what is loaded already without a load',
    'point a=a1 c=a1',
    { desired: { a: 'a1', c: 'a1' }, serving: { a: 'a1' }, versions: { a1: 'ready' }, loaded: ['a1'] },
  ],
  [
    'an omitted alias on a version that others need is only pointed away',
    'point a=a1',
    { desired: { a: 'a1' }, serving: { a: 'a1', c: 'a1' }, versions: { a1: 'ready' }, loaded: ['a1'] },
  ],
  [
    'a failed version is tried again when its time has come',
    'retry a1',
    { desired: { a: 'a1' }, versions: { a1: 'failed@1000' } },
  ],
  [
    'before that, the earliest of such times is waited for',
    'wait 3000',
    { desired: { a: 'a1', b: 'b1' }, versions: { a1: 'failed@4000', b1: 'failed@3000' } },
  ],
  ['a failed version that nobody wants is forgotten, not tried again', 'forget a1', { versions: { a1: 'failed@0' } }],
  ...(['wanted', 'fetched'] as const).map(
    (state) =>
      [`a version that is ${state} and no longer desired is forgotten`, 'forget a1', { versions: { a1: state } }] as const,
  ),
  ...(['fetching', 'draining'] as const).map(
    (state) => [`a version that is ${state} is not forgotten yet`, 'wait for news', { versions: { a1: state } }] as const,
  ),
  ['a version that a request named is fetched', 'fetch x1', { extras: ['x1'], versions: { x1: 'wanted' } }],
  [
    'and loaded beside the aliases',
    'load a1,x1; a=a1',
    { desired: { a: 'a1' }, serving: { a: 'a1' }, extras: ['x1'], versions: { a1: 'ready', x1: 'fetched' }, loaded: ['a1'] },
  ],
  [
    'one that cannot be loaded is left out',
    'wait 5000',
    { desired: { a: 'a1' }, serving: { a: 'a1' }, extras: ['x1'], versions: { a1: 'ready', x1: 'failed@5000' }, loaded: ['a1'] },
  ],
  [
    'one that no request needs any more is unloaded',
    'load a1; a=a1',
    { desired: { a: 'a1' }, serving: { a: 'a1' }, versions: { a1: 'ready', x1: 'ready' }, loaded: ['a1', 'x1'] },
  ],
  [
    'what an alias served in the last run is fetched too',
    'fetch a1',
    { desired: { a: 'a2' }, remembered: { a: 'a1' }, versions: { a1: 'wanted', a2: 'fetching' } },
  ],
  [
    'it serves until the desired version can',
    'load a1; a=a1',
    { desired: { a: 'a2' }, remembered: { a: 'a1' }, versions: { a1: 'fetched', a2: 'failed@9000' } },
  ],
  [
    'the desired version goes before it',
    'load a2; a=a2',
    { desired: { a: 'a2' }, remembered: { a: 'a1' }, versions: { a1: 'fetched', a2: 'fetched' } },
  ],
  [
    'what does not load either is nothing to serve',
    'wait 8000',
    { desired: { a: 'a2' }, remembered: { a: 'a1' }, versions: { a1: 'failed@8000', a2: 'failed@9000' } },
  ],
  ['a version to be prefetched is fetched', 'fetch p1', { prefetched: ['p1'], versions: { p1: 'wanted' } }],
  ['after what is to serve', 'fetch a1', { desired: { a: 'a1' }, prefetched: ['p1'], versions: { p1: 'wanted', a1: 'wanted' } }],
  [
    'and kept without being loaded, until its time is up',
    'wait 7000',
    {
      desired: { a: 'a1' },
      serving: { a: 'a1' },
      prefetched: ['p1'],
      prefetchEndMs: 7000,
      versions: { a1: 'ready', p1: 'fetched' },
      loaded: ['a1'],
    },
  ],
  [
    'one that failed is tried again before that',
    'wait 5000',
    { prefetched: ['p1'], prefetchEndMs: 7000, versions: { p1: 'failed@5000' } },
  ],
  ['one that is prefetched no more is forgotten', 'forget p1', { versions: { p1: 'fetched' } }],
  [
    'one that an alias wants by now is loaded',
    'load p1; a=p1',
    {
      desired: { a: 'p1' },
      serving: { a: 'a1' },
      prefetched: ['p1'],
      prefetchEndMs: 7000,
      versions: { a1: 'ready', p1: 'fetched' },
      loaded: ['a1'],
    },
  ],
  [
    'with caution it takes no turn',
    'load a1; a=a1',
    { desired: { a: 'a1' }, prefetched: ['p1'], versions: { p1: 'fetched', a1: 'fetched' }, isCautious: true },
  ],
  [
    'with caution one new version at a time is loaded',
    'load a1,b1; a=a1 b=b1',
    {
      desired: { a: 'a1', b: 'b1', c: 'c1' },
      serving: { a: 'a1' },
      versions: { a1: 'ready', b1: 'fetched', c1: 'fetched' },
      loaded: ['a1'],
      isCautious: true,
    },
  ],
  [
    'with caution an alias whose turn has not come keeps what it serves',
    'load a2,b1; a=a2 b=b1',
    {
      desired: { a: 'a2', b: 'b2' },
      serving: { a: 'a1', b: 'b1' },
      versions: { a1: 'ready', a2: 'fetched', b1: 'ready', b2: 'fetched' },
      loaded: ['a1', 'b1'],
      isCautious: true,
    },
  ],
] satisfies (readonly [string, string, Situation])[]) {
  test(what, () => {
    assert.equal(show(nextAction(snapshotOf(situation))), expected);
  });
}
