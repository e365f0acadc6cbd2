import assert from 'node:assert/strict';
import { needsLocalAws, registryEnv, startAwsTestServers } from '../support/aws/aws-test-store.ts';
import { racePromotions } from '../support/registry/promotion-race.ts';
import { temporaryFolder } from '../support/registry/temporary-folder.ts';
import { type SoakRun, soakTest } from '../support/soak/soak.ts';

const PUBLISH_ROUNDS = 20;
const PROMOTE_ROUNDS = 500;
const RACE = `8 publishers, ${PUBLISH_ROUNDS} rounds, and 8 promoters, ${PROMOTE_ROUNDS} rounds each, on one alias over 3 registry processes`;

async function race(run: SoakRun, env: Readonly<Record<string, string>>): Promise<void> {
  const rounds = { publishRounds: run.portion(PUBLISH_ROUNDS), promoteRounds: run.portion(PROMOTE_ROUNDS) };
  const { versions, won, lost } = await racePromotions(env, rounds, run.random('promotion race'));
  run.say(`${versions} versions; ${won} moves, ${lost} lost races`);
  assert.ok(won > 0 && lost > 0);
}

soakTest(import.meta.url, `${RACE}, on one folder`, async (run) => {
  await using folder = await temporaryFolder();
  await race(run, { REGISTRY_DATA: folder.path });
});

soakTest(
  import.meta.url,
  `${RACE}, on AWS`,
  async (run) => {
    const servers = await startAwsTestServers();
    try {
      await race(run, { ...servers.env, ...registryEnv(await servers.newStore()) });
    } finally {
      await servers.stop();
    }
  },
  needsLocalAws(),
);
