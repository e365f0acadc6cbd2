import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ArtifactCache } from '../../inference/cache/artifact-cache.ts';
import { checkSupported } from '../../inference/engine/supported.ts';
import { createBackoff, type Pass } from '../../inference/rollout/backoff.ts';
import type { RolloutEvent } from '../../inference/rollout/events.ts';
import type { LastKnown } from '../../inference/rollout/last-known.ts';
import type { DesiredAlias } from '../../inference/rollout/model-source.ts';
import { Rollout, type RolloutDeps, type RolloutSettings } from '../../inference/rollout/rollout.ts';
import type { VersionKey } from '../../inference/rollout/servable.ts';
import { cacheFolder } from './cache-folder.ts';
import { FakeLoader, type FakeSet } from './fake-loader.ts';
import { FakeModelSource } from './fake-model-source.ts';
import { type MadeVersion, ref } from './made-version.ts';

/** A bench on a cache folder of its own, closed when the test ends. */
export async function rolloutBench(
  t: TestContext,
  settings: Partial<RolloutSettings> = {},
  memory?: RolloutDeps<FakeSet>['memory'],
): Promise<RolloutBench> {
  const folder = await cacheFolder(t);
  const bench = new RolloutBench(await folder.open(), settings, undefined, memory);
  folder.beforeClose(() => bench.close());
  return bench;
}

/** A rollout on a real cache folder, its source, engines and clock in the test's hand. */
export class RolloutBench {
  readonly source = new FakeModelSource();
  readonly loader = new FakeLoader();
  readonly events: RolloutEvent[] = [];
  readonly rollout: Rollout<FakeSet>;
  nowMs = 1_000_000;
  remembered: LastKnown | undefined;
  remembering: Promise<void> = Promise.resolve();
  /** How a pause between loads passes. */
  pause: Pass = sleep;

  constructor(
    cache: ArtifactCache,
    settings: Partial<RolloutSettings> = {},
    remembered?: LastKnown,
    memory?: RolloutDeps<FakeSet>['memory'],
  ) {
    this.remembered = remembered;
    this.rollout = new Rollout(
      {
        source: this.source,
        cache,
        loader: this.loader,
        checkSupported,
        lastKnown: {
          read: async () => this.remembered,
          write: async (state) => {
            await this.remembering;
            this.remembered = state;
          },
        },
        nowMs: () => this.nowMs,
        onEvent: (event) => this.events.push(event),
        loadBackoff: createBackoff(undefined, undefined, (...pause) => this.pause(...pause)),
        ...(memory !== undefined && { memory }),
      },
      { models: ['*'], aliases: ['production', 'canary'], maxOnDemand: 2, ...settings },
    );
  }

  /** Begins with this snapshot and waits until the aliases serve or failed. */
  async startWith(...aliases: DesiredAlias[]): Promise<void> {
    await this.rollout.start();
    this.source.snapshot(...aliases);
    await this.settled();
  }

  settled(): Promise<void> {
    return this.rollout.settled(new AbortController().signal);
  }

  /** A lease that a request would get, without a signal of its own. */
  async acquire(text: string, signal = new AbortController().signal, onLoading = (_key: VersionKey): void => undefined) {
    const use = await this.rollout.acquire([ref(text)], onLoading, signal);
    const [version] = use.versions;
    if (version === undefined) {
      throw new Error('a use of no version');
    }
    return { set: use.set, ...version, [Symbol.dispose]: () => use[Symbol.dispose]() };
  }

  /** Which version answers a request now. */
  async versionOf(text: string): Promise<number> {
    using use = await this.acquire(text);
    return use.key.version;
  }

  stateOf({ id }: MadeVersion): string | undefined {
    return this.rollout.status().versions.find((version) => version.id === id)?.state;
  }

  reasonOf({ id }: MadeVersion): string | undefined {
    return this.rollout.status().versions.find((version) => version.id === id)?.error?.reason;
  }

  /** Lets time pass and the loop look at the clock. */
  pass(ms: number): void {
    this.nowMs += ms;
    this.source.alive();
  }

  async close(): Promise<void> {
    await this.rollout.close();
  }
}
