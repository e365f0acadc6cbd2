import assert from 'node:assert/strict';
import * as fc from 'fast-check';
import type { WatchEvent } from '../../../registry/release/watch.ts';
import { aliasAnswer, expectedAlias } from './answers.ts';
import { commandOf, expectReport, type Report, type RolloutOf, reports, rolloutAnswer, rolloutSteps } from './live-verbs.ts';
import { outcomeOf } from './outcome.ts';
import type { ReferenceEvent } from './reference-records.ts';
import type { ReferenceRegistry } from './reference-registry.ts';
import type { RealRegistry, Verb } from './verb.ts';

/** Between two questions of a registry that watches for what another one did. */
export const POLL_MS = 250;
/** Later than what any other registry did is heard of. */
const HEARTBEAT_SECONDS = 3;
/** A watch that is quiet for so long is broken. */
const MAX_MS = 60_000;

/** The start of a watch, whose place is kept. */
export const watchSnapshot: Verb<Readonly<Record<string, never>>> = {
  name: 'watch',
  steps: fc.constant({}),
  perform: (registry, _step, real, reference) =>
    whileTimePasses(real, reference, (signal) =>
      readWatch(registry.watchAliases({ cursor: '', heartbeatSeconds: HEARTBEAT_SECONDS }, signal), real),
    ),
  expect: (reference, _step, by) => {
    reference.watchedAt.push(reference.feed.length);
    return { aliases: reference.aliases().map(expectedAlias), changes: [], prefetches: expectedPrefetches(reference, by) };
  },
};

/** A watch that goes on from a place of an earlier one: every change since, once and in order; and a place further on. */
export const watchFurther: Verb<{ readonly from: number }> = {
  name: 'watch further',
  steps: fc.record({ from: fc.integer({ min: 0, max: 5 }) }),
  perform: (registry, { from }, real, reference) =>
    whileTimePasses(real, reference, (signal) => {
      const cursor = real.cursors[from] ?? '';
      return readWatch(registry.watchAliases({ cursor, heartbeatSeconds: HEARTBEAT_SECONDS }, signal), real);
    }),
  expect: (reference, { from }, by) => {
    const aliases = reference.watchedAt[from] === undefined ? reference.aliases() : [];
    const changes = changesSince(reference, from);
    reference.watchedAt.push(reference.feed.length);
    const prefetches = expectedPrefetches(reference, by);
    return { aliases: aliases.map(expectedAlias), changes: changes.map(expectedAlias), prefetches };
  },
};

/** All that comes until nothing more does. Prefetches have no place among changes. */
async function readWatch(events: AsyncIterable<WatchEvent>, { clock, cursors }: RealRegistry) {
  const aliases: unknown[] = [];
  const changes: unknown[] = [];
  const prefetches: { readonly model: string; readonly version: number; readonly digest: string; readonly endMs: number }[] = [];
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
        prefetches.push({ model: String(model), version, digest: manifest.digest, endMs: clock.nowMs() + event.holdMs });
        break;
      }
      case 'heartbeat':
        cursors.push(event.cursor);
        // One that ended meanwhile may have been told or not.
        return { aliases, changes, prefetches: inOrder(prefetches.filter(({ endMs }) => endMs > clock.nowMs())) };
    }
  }
  return { aliases, changes, prefetches };
}

function expectedPrefetches(reference: ReferenceRegistry, by: number) {
  const wishes = reference.live(by).wishes(reference.nowMs);
  return inOrder(wishes.map(({ expireTimeMs, ...wish }) => ({ ...wish, endMs: expireTimeMs })));
}

function inOrder<T extends { readonly model: string; readonly version: number }>(wishes: readonly T[]): T[] {
  return wishes.toSorted((a, b) => (`${a.model}:${a.version}` < `${b.model}:${b.version}` ? -1 : 1));
}

interface RolloutWatch extends RolloutOf {
  /** What a server says, to another registry where they share it, once the watch has begun. */
  readonly meanwhile: Report | undefined;
}

export const watchRollout: Verb<RolloutWatch> = {
  name: 'watch rollout',
  steps: fc.record({ ...rolloutSteps, meanwhile: fc.option(reports, { nil: undefined }) }),
  perform: (registry, { model, alias, meanwhile }, real, reference, by) =>
    whileTimePasses(real, reference, async (signal) => {
      const told: unknown[] = [];
      for await (const event of registry.watchRollout({ model, alias, heartbeatSeconds: HEARTBEAT_SECONDS }, signal)) {
        if (event.kind === 'heartbeat') {
          break;
        }
        const rollout = withoutTimes(rolloutAnswer(event.rollout));
        assert.notDeepEqual(rollout, told.at(-1), 'the same told again');
        told.push(rollout);
        if (told.length === 1 && meanwhile !== undefined) {
          const other = real.registries[(by + 1) % real.registries.length];
          const to = real.sharesLive ? other : registry;
          await outcomeOf(async () => to?.reportServables(commandOf(reference, meanwhile), signal));
        }
      }
      return { first: told[0], last: told.at(-1) };
    }),
  expect: async (reference, { model, alias, meanwhile }, by) => {
    const rolloutAt = (ms: number) => withoutTimes(reference.live(by).rollout(reference, model, alias, ms));
    const { beganMs, nowMs } = reference;
    const first = rolloutAt(beganMs);
    if (meanwhile !== undefined) {
      reference.nowMs = beganMs;
      // Whether it is taken, its own calls say.
      await outcomeOf(async () => expectReport(reference, meanwhile, by));
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

function changesSince(reference: ReferenceRegistry, watch: number): ReferenceEvent[] {
  const sequence = reference.watchedAt[watch];
  return sequence === undefined ? [] : reference.feed.slice(sequence);
}

/** Lets time pass for registries that wait for it, and only when they wait for nothing else. */
async function whileTimePasses<T>(
  real: RealRegistry,
  reference: ReferenceRegistry,
  watch: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  reference.beganMs = reference.nowMs;
  const silence = new AbortController();
  let isOver = false;
  const passing = (async () => {
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
