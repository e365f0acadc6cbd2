import { needsLocalAws, startAwsTestServers } from '../support/aws/aws-test-store.ts';
import { checkRegistry } from '../support/registry-model/check-registry.ts';
import { openAwsServerStore } from '../support/registry-model/server-store.ts';
import { openFolderStore, openMemoryAwsStore } from '../support/registry-model/stores.ts';
import { type SoakRun, soakTest } from '../support/soak/soak.ts';

const MAX_CALLS = 200;

/** Twelve minutes on two cores that have much else to do: most of it is the hashing of large blobs. */
const SEQUENCES = { folder: 300, standIns: 300, servers: 60 };

const check = async (run: SoakRun, name: string, runs: number, open: Parameters<typeof checkRegistry>[0]): Promise<void> => {
  const { calls, refused } = await checkRegistry(open, { seed: run.seed, runs: run.portion(runs), maxCalls: MAX_CALLS });
  run.say(`${name}: ${run.portion(runs)} sequences, ${calls} calls, ${refused} of them refused, all as the reference says`);
};

soakTest(import.meta.url, 'registries in a folder answer as the reference does', (run) =>
  check(run, 'folder', SEQUENCES.folder, openFolderStore),
);

soakTest(import.meta.url, 'registries on stand-ins for AWS answer as the reference does', (run) =>
  check(run, 'stand-ins for AWS', SEQUENCES.standIns, openMemoryAwsStore),
);

soakTest(import.meta.url, 'registries on servers that stand in for AWS answer as the reference does', async (run, t) => {
  const { skip } = needsLocalAws();
  if (skip !== false) {
    t.skip(skip);
    return;
  }
  const servers = await startAwsTestServers();
  try {
    await check(run, 'servers', SEQUENCES.servers, (clock) => openAwsServerStore(servers, clock));
  } finally {
    await servers.stop();
  }
});
