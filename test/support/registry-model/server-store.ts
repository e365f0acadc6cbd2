import { randomUUID } from 'node:crypto';
import { openAwsStore } from '../../../registry/adapters/aws/open-aws-store.ts';
import { systemClock } from '../../../registry/release/clock.ts';
import { createRegistry } from '../../../registry/release/registry.ts';
import { type AwsTestServers, ignoreLeftover } from '../aws/aws-test-store.ts';
import { memoryLiveState } from '../registry/live-state.ts';
import type { ManualClock } from '../registry/manual-clock.ts';
import { never } from '../registry/publish.ts';
import type { OpenStore } from './check-registry.ts';

/** Two registries on a new table and a prefix of its own. Their requests go by the real time, what they record by `clock`. */
export async function openAwsServerStore(servers: AwsTestServers, clock: ManualClock): Promise<OpenStore> {
  const settings = await servers.newStore();
  const openOne = async () => {
    const store = await openAwsStore(settings, { clock: systemClock, onLeftover: ignoreLeftover }, never);
    const deps = { catalog: store.catalog, blobs: store.blobs, ...memoryLiveState(), clock, newId: () => randomUUID() };
    return { store, registry: createRegistry(deps, { feedPollMs: 250, serverTtlMs: 10_000 }) };
  };
  const both = [await openOne(), await openOne()];
  return {
    restoresCollected: true,
    registries: both.map(({ registry }) => registry),
    close: async () => {
      for (const { store } of both) {
        store.catalog.close();
        store.close();
      }
    },
  };
}
