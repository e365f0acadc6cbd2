import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nextAction, type RolloutAction, type RolloutSnapshot } from '../../../inference/rollout/policy.ts';
import type { ServableId } from '../../../inference/rollout/servable.ts';
import type { VersionState } from '../../../inference/rollout/state.ts';

const NOW = 1000;

interface Situation {
  readonly desired?: Readonly<Record<string, string>>;
  readonly serving?: Readonly<Record<string, string>>;
  readonly remembered?: Readonly<Record<string, string>>;
  readonly extras?: readonly string[];
  readonly prefetched?: readonly string[];
  readonly prefetchEndMs?: number;
  /** `failed@2000`: to be tried again at 2000. */
  readonly versions?: Readonly<Record<string, string>>;
  readonly loaded?: readonly string[];
  readonly isCautious?: boolean;
  /** Of a budget of 10. */
  readonly weights?: Readonly<Record<string, number>>;
  /** Beside what is loaded. */
  readonly draining?: readonly string[];
}

const ids = (texts: readonly string[] = []): ServableId[] => texts.map((text) => text as ServableId);
const pairs = (record: Readonly<Record<string, string>> = {}): Map<string, ServableId> =>
  new Map(Object.entries(record).map(([key, value]) => [key, value as ServableId]));

function snapshotOf({
  desired,
  serving,
  remembered,
  extras,
  prefetched,
  prefetchEndMs,
  versions = {},
  loaded,
  isCautious = false,
  weights,
  draining,
}: Situation): RolloutSnapshot {
  return {
    desired: pairs(desired),
    serving: pairs(serving),
    remembered: pairs(remembered),
    extras: ids(extras),
    prefetched: ids(prefetched),
    prefetchEndMs,
    loaded: new Set(ids(loaded)),
    versions: new Map(
      Object.entries(versions).map(([id, text]) => {
        const [state, retryAt = '0'] = text.split('@');
        return [id as ServableId, { state: state as VersionState, retryAtMs: Number(retryAt) }];
      }),
    ),
    isCautious,
    nowMs: NOW,
    memory: weights && {
      weights: new Map(Object.entries(weights).map(([id, weight]) => [id as ServableId, weight])),
      resident: new Set(ids([...(loaded ?? []), ...(draining ?? [])])),
      budgetBytes: 10,
    },
  };
}

/** An action as one line. */
function show(action: RolloutAction): string {
  const serving = (map: ReadonlyMap<string, string>): string => [...map].map(([key, id]) => `${key}=${id}`).join(' ');
  switch (action.kind) {
    case 'load':
      return `load ${action.set.join(',')}; ${serving(action.serving)}`.trim();
    case 'point':
      return `point ${serving(action.serving)}`.trim();
    case 'wait':
      return `wait ${action.untilMs ?? 'for news'}`;
    default:
      return `${action.kind} ${action.id}`;
  }
}

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
