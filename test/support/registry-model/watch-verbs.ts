import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import type { Registry } from '../../../registry/release/registry.ts';
import type { WatchEvent } from '../../../registry/release/watch.ts';
import { never } from '../registry/publish.ts';
import { promoteVersion } from './alias-verbs.ts';
import { aliasAnswer, expectedAlias } from './answers.ts';
import {
  commandOf,
  expectReport,
  prefetchVersion,
  type Report,
  type RolloutOf,
  reports,
  rolloutAnswer,
  rolloutSteps,
} from './live-verbs.ts';
import { type Outcome, outcomeOf } from './outcome.ts';
import type { ReferenceRegistry } from './reference-registry.ts';
import type { RealRegistry, Verb } from './verb.ts';

/** Between two questions of a registry that watches for what another one did. */
export const POLL_MS = 250;
/** Later than what any other registry did is heard of. */
const HEARTBEAT_SECONDS = 3;
/** A watch that is quiet for so long is broken. */
const MAX_MS = 60_000;

/** What another registry is told once a watch is at rest. */
type Meanwhile =
  | { readonly call: 'promote'; readonly step: Parameters<typeof promoteVersion.expect>[1] }
  | { readonly call: 'prefetch'; readonly step: Parameters<typeof prefetchVersion.expect>[1] }
  | undefined;

const meanwhile: fc.Arbitrary<Meanwhile> = fc.oneof(
  fc.constant(undefined),
  promoteVersion.steps.map((step) => ({ call: 'promote' as const, step: { ...step, requireReady: 0 } })),
  prefetchVersion.steps.map((step) => ({ call: 'prefetch' as const, step })),
);

interface Watch {
  /** The place of an earlier watch; undefined, or one there is not: from the start. */
  readonly from: number | undefined;
  readonly meanwhile: Meanwhile;
}

/** A watch from the start, or from the place of an earlier one: every change since, once and in order. Its own place is kept. */
export const watchAliases: Verb<Watch> = {
  name: 'watch',
  steps: fc.record({ from: fc.option(fc.integer({ min: 0, max: 5 }), { nil: undefined }), meanwhile }),
  perform: async (registry, step, real, reference, by) => {
    const cursor = step.from === undefined ? '' : (real.cursors[step.from] ?? '');
    const other = real.registries[(by + 1) % real.registries.length] ?? registry;
    let outcome: Outcome | undefined;
    const told = await whileTimePasses(
      real,
      reference,
      (signal) => readWatch(registry.watchAliases({ cursor, heartbeatSeconds: HEARTBEAT_SECONDS }, signal), real),
      async () => {
        outcome = await outcomeOf(() => performMeanwhile(step.meanwhile, { registry, other }, real, reference, by));
      },
    );
    return { ...told, outcome };
  },
  expect: async (reference, { from, meanwhile: call }, by) => {
    const sequence = from === undefined ? undefined : reference.watchedAt[from];
    const aliases = sequence === undefined ? reference.aliases().map(expectedAlias) : [];
    const start = sequence ?? reference.feed.length;
    const { beganMs, nowMs } = reference;
    reference.nowMs = beganMs;
    const outcome = await outcomeOf(async () => expectMeanwhile(call, reference, by));
    reference.nowMs = nowMs;
    const changes = reference.feed.slice(start).map(expectedAlias);
    reference.watchedAt.push(reference.feed.length);
    const wishes = reference.live(by).wishes(reference.nowMs);
    const prefetches = inOrder(wishes.map(({ expireTimeMs, ...wish }) => ({ ...wish, endMs: expireTimeMs })));
    return { aliases, changes, prefetches, outcome };
  },
};

async function performMeanwhile(
  call: Meanwhile,
  { registry, other }: { readonly registry: Registry; readonly other: Registry },
  real: RealRegistry,
  reference: ReferenceRegistry,
  by: number,
): Promise<unknown> {
  switch (call?.call) {
    case 'promote':
      return promoteVersion.perform(other, call.step, real, reference, by);
    case 'prefetch':
      return prefetchVersion.perform(real.sharesLive ? other : registry, call.step, real, reference, by);
    case undefined:
      return undefined;
  }
}

function expectMeanwhile(call: Meanwhile, reference: ReferenceRegistry, by: number): unknown {
  switch (call?.call) {
    case 'promote':
      return promoteVersion.expect(reference, call.step, by);
    case 'prefetch':
      return prefetchVersion.expect(reference, call.step, by);
    case undefined:
      return undefined;
  }
}

interface ToldPrefetch {
  readonly model: string;
  readonly version: number;
  readonly digest: string;
  readonly endMs: number;
}

/** All that comes until nothing more does. Prefetches have no place among changes, and the last one told of a version counts. */
async function readWatch(events: AsyncIterable<WatchEvent>, { clock, cursors }: RealRegistry) {
  const aliases: unknown[] = [];
  const changes: unknown[] = [];
  const prefetches = new Map<string, ToldPrefetch>();
  let isWithin = false;
  for await (const event of events) {
    assert.ok(!isWithin || event.kind === 'snapshot', `${event.kind} before the snapshot's end`);
    switch (event.kind) {
      case 'snapshot':
        aliases.push(...event.aliases.map(aliasAnswer));
        isWithin = !event.isComplete;
        break;
      case 'change':
        changes.push(aliasAnswer(event.alias));
        break;
      case 'prefetch': {
        const { model, version, manifest } = event.wish;
        assert.ok(event.holdMs > 0, `${model}:${version} is to be held for ${event.holdMs} ms`);
        const told = { model: String(model), version, digest: manifest.digest, endMs: clock.nowMs() + event.holdMs };
        assert.notDeepEqual(prefetches.get(`${model}:${version}`), told, 'the same told again');
        prefetches.set(`${model}:${version}`, told);
        break;
      }
      case 'heartbeat':
        cursors.push(event.cursor);
        // One that ended meanwhile may have been told or not.
        return { aliases, changes, prefetches: inOrder([...prefetches.values()].filter(({ endMs }) => endMs > clock.nowMs())) };
    }
  }
  throw new Error('the watch ended');
}

function inOrder<T extends { readonly model: string; readonly version: number }>(wishes: readonly T[]): T[] {
  return wishes.toSorted((a, b) => (`${a.model}:${a.version}` < `${b.model}:${b.version}` ? -1 : 1));
}

interface RolloutWatch extends RolloutOf {
  /** What a server says, to another registry where they share it, once the watch is at rest. */
  readonly meanwhile: Report | undefined;
}

export const watchRollout: Verb<RolloutWatch> = {
  name: 'watch rollout',
  steps: fc.record({ ...rolloutSteps, meanwhile: fc.option(reports, { nil: undefined }) }),
  perform: (registry, { model, alias, meanwhile: report }, real, reference, by) => {
    const other = real.registries[(by + 1) % real.registries.length] ?? registry;
    const watch = async (signal: AbortSignal) => {
      const told: unknown[] = [];
      for await (const event of registry.watchRollout({ model, alias, heartbeatSeconds: HEARTBEAT_SECONDS }, signal)) {
        if (event.kind === 'heartbeat') {
          break;
        }
        const rollout = withoutTimes(rolloutAnswer(event.rollout));
        assert.notDeepEqual(rollout, told.at(-1), 'the same told again');
        told.push(rollout);
      }
      return { first: told[0], last: told.at(-1) };
    };
    return whileTimePasses(real, reference, watch, async () => {
      if (report !== undefined) {
        const command = commandOf(reference, report);
        await outcomeOf(() => (real.sharesLive ? other : registry).reportServables(command, never));
      }
    });
  },
  expect: async (reference, { model, alias, meanwhile: report }, by) => {
    const rolloutAt = (ms: number) => withoutTimes(reference.live(by).rollout(reference, model, alias, ms));
    const { beganMs, nowMs } = reference;
    const first = rolloutAt(beganMs);
    if (report !== undefined) {
      reference.nowMs = beganMs;
      // Whether it is taken, its own calls say.
      await outcomeOf(async () => expectReport(reference, report, by));
      reference.nowMs = nowMs;
    }
    // What ends with the heartbeat is told after it.
    return { first, last: rolloutAt(nowMs - POLL_MS) };
  },
};

/** A renewal that says nothing new is not told. */
function withoutTimes<T extends { readonly servers: readonly { readonly reportTimeMs: number }[] }>(rollout: T) {
  return { ...rollout, servers: rollout.servers.map((server) => ({ ...server, reportTimeMs: 0 })) };
}

/** Lets time pass for registries that wait for it, and only when they wait for nothing else. */
async function whileTimePasses<T>(
  real: RealRegistry,
  reference: ReferenceRegistry,
  watch: (signal: AbortSignal) => Promise<T>,
  atRest: () => Promise<void> = async () => undefined,
): Promise<T> {
  reference.beganMs = reference.nowMs;
  const silence = new AbortController();
  let isOver = false;
  const passing = (async () => {
    await real.untilIdle();
    // A watch that was refused is over by now.
    if (!isOver) {
      await atRest();
    }
    for (let ms = 0; ; ms += POLL_MS) {
      await real.untilIdle();
      if (isOver) {
        return;
      }
      if (ms > MAX_MS) {
        return silence.abort();
      }
      real.clock.advance(POLL_MS);
      reference.nowMs += POLL_MS;
    }
  })();
  try {
    return await watch(silence.signal);
  } finally {
    isOver = true;
    await passing;
  }
}
