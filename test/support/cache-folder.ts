import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import {
  type ArtifactCache,
  type CacheDeps,
  type CacheSettings,
  DEFAULT_CACHE_SETTINGS,
  openCache,
} from '../../inference/cache/artifact-cache.ts';
import type { CacheEvent } from '../../inference/cache/events.ts';
import { CacheLayout } from '../../inference/cache/layout.ts';

/** A temporary folder that a test's caches share. */
export interface CacheFolder {
  readonly root: string;
  readonly layout: CacheLayout;
  readonly events: CacheEvent[];
  /** A server's cache on the folder; closed when the test ends. */
  open(deps?: Partial<CacheDeps>, settings?: Partial<CacheSettings>): Promise<ArtifactCache>;
  /** Has what works on its caches closed when the test ends, before they close and the folder is removed under it. */
  beforeClose(close: () => Promise<void>): void;
  /** The events' kinds so far. */
  kinds(): string[];
  /** Names of the files among the partial downloads and in quarantine. */
  partials(): Promise<string[]>;
  quarantined(): Promise<string[]>;
}

export async function cacheFolder(t: TestContext): Promise<CacheFolder> {
  const root = await mkdtemp(join(tmpdir(), 'cache-test-'));
  const layout = new CacheLayout(root);
  const events: CacheEvent[] = [];
  const caches: ArtifactCache[] = [];
  const users: (() => Promise<void>)[] = [];
  t.after(async () => {
    await Promise.all(users.map((close) => close()));
    await Promise.all(caches.map((cache) => cache.close()));
    await rm(root, { recursive: true, force: true });
  });
  return {
    root,
    layout,
    events,
    open: async (deps = {}, settings = {}) => {
      const cache = await openCache(
        root,
        { onEvent: (event) => events.push(event), ...deps },
        { ...DEFAULT_CACHE_SETTINGS, ...settings },
      );
      caches.push(cache);
      return cache;
    },
    beforeClose: (close) => void users.push(close),
    kinds: () => events.map(({ kind }) => kind),
    partials: () => readdir(layout.partials),
    quarantined: () => readdir(layout.quarantine),
  };
}

/** For calls that nobody calls off. */
export const never: AbortSignal = new AbortController().signal;

/** A name of an owner on this machine whose process is gone: this process's id with a start time that it never had. */
export function deadOwner(alive: string): string {
  const [pid, , scope] = alive.split('-');
  return `${pid}-1-${scope}-00000000`;
}
