import assert from 'node:assert/strict';
import { test } from 'node:test';
import { needsAws, registryEnv, startAwsTestStores } from '../../support/aws/aws-test-store.ts';
import { racePromotions } from '../../support/registry/promotion-race.ts';
import { SeededRandom } from '../../support/soak/seeded-random.ts';

/** A tenth of what the soak does. */
const ROUNDS = 50;

test(`8 promoters, ${ROUNDS} rounds each, on one alias over 3 registry processes`, needsAws(), async () => {
  const servers = await startAwsTestStores();
  try {
    const rounds = { publishRounds: 1, promoteRounds: ROUNDS };
    const random = new SeededRandom(1, 'promotion race');
    const { won, lost } = await racePromotions(registryEnv(await servers.newStore()), rounds, random);
    assert.ok(won > 0 && lost > 0, `${won} moves, ${lost} lost races`);
  } finally {
    await servers.stop();
  }
});
