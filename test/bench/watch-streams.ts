import { setMaxListeners } from 'node:events';
import { setTimeout } from 'node:timers/promises';
import { credentials } from '@grpc/grpc-js';
import { createRegistryClient } from '../../clients/registry-client.ts';
import { RegistryServiceClient } from '../../proto/gen/maskterial/registry/v1/registry_service.ts';
import { callServerStream } from '../../proto/wire/calls.ts';
import { type AwsTestServers, registryEnv } from '../support/aws/aws-test-store.ts';
import { type FaultProxy, startFaultProxy } from '../support/aws/fault-proxy.ts';
import { fillRegistry, startBenchRegistry } from './bench-registry.ts';
import { memoryOfTree } from './memory.ts';
import { ALIAS, MODEL, toAndFro } from './registry-pair.ts';
import { quantileOf } from './statistics.ts';

const STREAMS = 1000;
const CONNECTIONS = 50;
const HEARTBEAT_SECONDS = 10;
const PROMOTIONS = 60;
const EVERY_MS = 1000;
const REST_MS = 30_000;

/** Processor time, memory and DynamoDB requests of a registry: at rest and with a promotion a second, without and with watchers. */
export async function benchWatchStreams(servers: AwsTestServers): Promise<void> {
  const settings = await servers.newStore();
  const proxy = await startFaultProxy(settings.dynamoEndpoint ?? '');
  const env = { ...servers.env, ...registryEnv(settings), AWS_ENDPOINT_URL_DYNAMODB: proxy.url };
  const registry = await startBenchRegistry(env);
  const client = createRegistryClient({ address: registry.address, timeoutMs: 60_000 });
  const next = toAndFro();
  const promoteEverySecond = async (sawAll: (revision: number, startedMs: number) => void): Promise<void> => {
    for (let move = 0; move < PROMOTIONS; move += 1) {
      const startedMs = performance.now();
      const { alias } = await client.promote(MODEL, next(), ALIAS);
      sawAll(alias.revision, startedMs);
      await setTimeout(Math.max(0, EVERY_MS - (performance.now() - startedMs)));
    }
  };
  try {
    await fillRegistry(registry.address);
    // What the first calls compile and allocate is no part of either run.
    await promoteEverySecond(() => undefined);
    console.log(
      `\nAWS: local servers; ${STREAMS} watch streams over ${CONNECTIONS} connections, a heartbeat every ${HEARTBEAT_SECONDS} s`,
    );
    console.log("run                                        cpu, % of a core  memory, MiB  watchers' cpu  DynamoDB requests/s");
    const measure = meter(registry.pid, proxy);
    await measure('at rest, no watcher', () => setTimeout(REST_MS));
    await measure('a promotion a second, no watcher', () => promoteEverySecond(() => undefined));
    const watchers = await openWatchers(registry.address);
    await measure(`at rest, ${STREAMS} watchers`, () => setTimeout(REST_MS));
    const began = new Map<number, number>();
    await measure(`a promotion a second, ${STREAMS} watchers`, () =>
      promoteEverySecond((revision, startedMs) => began.set(revision, startedMs)),
    );
    await setTimeout(EVERY_MS);
    const tookMs = watchers.seen.flatMap(({ revision, atMs }) => {
      const startedMs = began.get(revision);
      return startedMs === undefined ? [] : [atMs - startedMs];
    });
    const [p50, p99, worst] = [quantileOf(tookMs, 0.5), quantileOf(tookMs, 0.99), quantileOf(tookMs, 1)];
    console.log(`  changes seen: ${tookMs.length} of ${STREAMS * began.size}; heartbeats: ${watchers.heartbeats()}`);
    console.log(
      `  from the call until one of them saw it: p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, longest ${worst.toFixed(1)} ms`,
    );
    await watchers.close();
  } finally {
    client.close();
    await registry.end('SIGTERM');
    await proxy.stop();
  }
}

/** Prints what a run cost the process, and what it asked the table. */
function meter(pid: number, { requests }: FaultProxy): (what: string, run: () => Promise<unknown>) => Promise<void> {
  return async (what, run) => {
    const [cpuBefore, from] = [look(pid).cpuMs, requests.length];
    const ownBefore = process.cpuUsage();
    const startedMs = performance.now();
    await run();
    const elapsedMs = performance.now() - startedMs;
    const { cpuMs, residentMib } = look(pid);
    const { user, system } = process.cpuUsage(ownBefore);
    const percent = (ms: number): string => `${((100 * ms) / elapsedMs).toFixed(1)} %`;
    const asked = requests.slice(from).map(({ target }) => target.replace(/^.*\./, ''));
    const byName = [...new Set(asked)]
      .toSorted()
      .map((name) => `${name} ${perSecond(asked.filter((one) => one === name).length)}`);
    console.log(
      [
        what.padEnd(42),
        percent(cpuMs - cpuBefore).padStart(16),
        residentMib.toFixed(0).padStart(12),
        // They share the machine with the registry: a change for all of them takes longer for it.
        percent((user + system) / 1000).padStart(13),
        `  ${perSecond(asked.length)} (${byName.join(', ')})`,
      ].join(' '),
    );

    function perSecond(count: number): string {
      return ((1000 * count) / elapsedMs).toFixed(1);
    }
  };
}

function look(pid: number): { readonly cpuMs: number; readonly residentMib: number } {
  return memoryOfTree(pid)[0] ?? { cpuMs: Number.NaN, residentMib: Number.NaN };
}

/** Resolves once each has its snapshot. */
async function openWatchers(address: string) {
  const seen: { readonly revision: number; readonly atMs: number }[] = [];
  let heartbeats = 0;
  const stopping = new AbortController();
  setMaxListeners(0, stopping.signal);
  const stubs = Array.from(
    { length: CONNECTIONS },
    () => new RegistryServiceClient(address, credentials.createInsecure(), { 'grpc.use_local_subchannel_pool': 1 }),
  );
  const ended: Promise<void>[] = [];
  const started = Array.from({ length: STREAMS }, (_, index) => {
    const stub = stubs[index % CONNECTIONS];
    return new Promise<void>((resolve, reject) => {
      const run = async (): Promise<void> => {
        const request = { cursor: '', heartbeatSeconds: HEARTBEAT_SECONDS };
        const call = new AbortController();
        stopping.signal.addEventListener('abort', () => call.abort(), { once: true });
        for await (const { event } of stub === undefined
          ? []
          : callServerStream(stub.watchAliases.bind(stub), request, { signal: call.signal })) {
          if (event?.$case === 'snapshot') {
            resolve();
          } else if (event?.$case === 'change') {
            seen.push({ revision: event.value.alias?.revision ?? 0, atMs: performance.now() });
          } else if (event?.$case === 'heartbeat') {
            heartbeats += 1;
          }
        }
      };
      ended.push(
        run().catch((error: unknown) => {
          if (!stopping.signal.aborted) {
            reject(error);
          }
        }),
      );
    });
  });
  await Promise.all(started);
  return {
    seen,
    heartbeats: () => heartbeats,
    close: async () => {
      stopping.abort();
      await Promise.all(ended);
      for (const stub of stubs) {
        stub.close();
      }
    },
  };
}
