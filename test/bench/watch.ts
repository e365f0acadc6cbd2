import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { createRegistryClient, type RegistryClient } from '../../clients/registry-client.ts';
import { NO_RETRY } from '../../clients/retry.ts';
import { registryEnv, startAwsTestServers } from '../support/aws/aws-test-store.ts';
import { SeededRandom } from '../support/soak/seeded-random.ts';
import { fillRegistry, startBenchRegistry } from './bench-registry.ts';
import { ALIAS, MODEL, toAndFro } from './registry-pair.ts';
import { quantileOf } from './statistics.ts';
import { benchWatchStreams } from './watch-streams.ts';

const PROMOTIONS = 300;
/** Promotions come at any moment between two questions of the other registry. */
const LONGEST_GAP_MS = 300;
const TIMEOUT_MS = 60_000;

/**
 * How soon a watcher sees a promotion: on the registry that made it, and on another one of the same store; and what a thousand
 * watch streams cost a registry. `args`: `latency` or `streams` alone.
 */
export async function benchWatch(args: readonly string[]): Promise<void> {
  console.log(`${cpus()[0]?.model ?? 'unknown processor'}, ${cpus().length} cores, Node ${process.version}`);
  const servers = await startAwsTestServers();
  const folder = await mkdtemp(join(tmpdir(), 'maskterial-bench-'));
  try {
    if (!args.includes('streams')) {
      await benchLatency('embedded: SQLite and a folder', { REGISTRY_DATA: folder });
      const settings = await servers.newStore();
      await benchLatency('AWS: local servers', { ...servers.env, ...registryEnv(settings) });
    }
    if (!args.includes('latency')) {
      await benchWatchStreams(servers);
    }
  } finally {
    await servers.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Two registry processes on one store. */
async function benchLatency(name: string, env: Readonly<Record<string, string>>): Promise<void> {
  const processes = [await startBenchRegistry(env), await startBenchRegistry(env)];
  const clients = processes.map(({ address }) => createRegistryClient({ address, timeoutMs: TIMEOUT_MS, retry: NO_RETRY }));
  const stopping = new AbortController();
  try {
    const [first] = clients;
    if (first === undefined) {
      return;
    }
    await fillRegistry(processes[0]?.address ?? '');
    const watched = await Promise.all(clients.map((client) => watchAll(client, stopping.signal)));
    const random = new SeededRandom(1, 'gaps between promotions');
    const next = toAndFro();
    const [began, answered] = [new Map<number, number>(), new Map<number, number>()];
    for (let move = 0; move < PROMOTIONS; move += 1) {
      await setTimeout(random.unit() * LONGEST_GAP_MS);
      const startedMs = performance.now();
      const { alias } = await first.promote(MODEL, next(), ALIAS);
      began.set(alias.revision, startedMs);
      answered.set(alias.revision, performance.now());
    }
    const last = Math.max(...began.keys());
    await Promise.all(watched.map((seen) => seen.until(last)));
    console.log(`\n${name}; ${PROMOTIONS} promotions through the first of two registries, until a watcher saw it`);
    for (const [index, what] of ['on the same one (50 or less)', 'on the other one (1000 or less)'].entries()) {
      for (const [since, startsMs] of [
        ['its answer', answered],
        ['its call', began],
      ] as const) {
        // A watcher may hear of it before whoever made it.
        const tookMs = [...startsMs].map(([revision, ms]) =>
          Math.max(0, (watched[index]?.timesMs.get(revision) ?? Number.NaN) - ms),
        );
        const [p50, p99, worst] = [0.5, 0.99, 1].map((share) => quantileOf(tookMs, share).toFixed(1));
        console.log(`  ${what.padEnd(32)} from ${since.padEnd(11)} p50 ${p50} ms, p99 ${p99} ms, longest ${worst} ms`);
      }
    }
  } finally {
    stopping.abort();
    for (const client of clients) {
      client.close();
    }
    await Promise.all(processes.map((process) => process.end('SIGTERM')));
  }
}

/** When each revision of the alias was seen; the watch has begun once this resolves. */
async function watchAll(client: RegistryClient, signal: AbortSignal) {
  const timesMs = new Map<number, number>();
  const waiting: { readonly revision: number; readonly resolve: () => void }[] = [];
  await new Promise<void>((resolve, reject) => {
    const run = async (): Promise<void> => {
      for await (const { event } of client.watch({ signal, retry: NO_RETRY })) {
        if (event?.$case === 'snapshot') {
          resolve();
        } else if (event?.$case === 'change' && event.value.alias?.model === MODEL) {
          const { revision } = event.value.alias;
          timesMs.set(revision, performance.now());
          for (const waiter of waiting.filter((one) => one.revision <= revision)) {
            waiter.resolve();
          }
        }
      }
    };
    run().catch((error: unknown) => {
      if (!signal.aborted) {
        reject(error);
      }
    });
  });
  const until = (revision: number): Promise<void> =>
    timesMs.has(revision) ? Promise.resolve() : new Promise((resolve) => waiting.push({ revision, resolve }));
  return { timesMs, until };
}
