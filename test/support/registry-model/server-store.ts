import { randomUUID } from 'node:crypto';
import { openAwsStore } from '../../../registry/adapters/aws/open-aws-store.ts';
import { systemClock } from '../../../registry/release/clock.ts';
import { createRegistry } from '../../../registry/release/registry.ts';
import { type AwsTestServers, ignoreLeftover } from '../aws/aws-test-store.ts';
import type { ManualClock } from '../registry/manual-clock.ts';
import { never } from '../registry/publish.ts';
import { Activity } from './activity.ts';
import type { OpenStore } from './check-registry.ts';
import { SETTINGS } from './stores.ts';

/** Two registries on a new table and a prefix of its own. Their requests go by the real time, what they record by `clock`. */
export async function openAwsServerStore(servers: AwsTestServers, clock: ManualClock): Promise<OpenStore> {
  const settings = await servers.newStore();
  const activity = new Activity();
  const openOne = async () => {
    const store = await openAwsStore(settings, { clock: systemClock, onLeftover: ignoreLeftover }, never);
    const { catalog, blobs, reports, wishes } = store;
    const parts = { catalog: activity.watch(catalog), blobs, reports: activity.watch(reports), wishes: activity.watch(wishes) };
    return { store, registry: createRegistry({ ...parts, clock, newId: () => randomUUID() }, SETTINGS) };
  };
  const both = [await openOne(), await openOne()];
  return {
    restoresCollected: true,
    sharesLive: true,
    maxServers: Number.POSITIVE_INFINITY,
    registries: both.map(({ registry }) => registry),
    untilIdle: () => activity.untilIdle(),
    close: async () => {
      for (const { store } of both) {
        store.catalog.close();
        store.close();
      }
    },
  };
}
