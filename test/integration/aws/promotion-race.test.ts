import assert from 'node:assert/strict';
import { test } from 'node:test';
import { needsAws, registryEnv, startAwsTestStores } from '../../support/aws/aws-test-store.ts';
import { racePromotions } from '../../support/aws/promotion-race.ts';

/** A tenth of what the soak does. */
const ROUNDS = 50;

test(`8 promoters, ${ROUNDS} rounds each, on one alias over 3 registry processes`, needsAws(), async () => {
  const servers = await startAwsTestStores();
  try {
    const { won, lost } = await racePromotions(registryEnv(await servers.newStore()), ROUNDS, 1);
    assert.ok(won > 0 && lost > 0, `${won} moves, ${lost} lost races`);
  } finally {
    await servers.stop();
  }
});
