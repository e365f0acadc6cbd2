import assert from 'node:assert/strict';
import { test } from 'node:test';
import { needsLocalAws, registryEnv, startAwsTestServers } from '../support/aws/aws-test-store.ts';
import { racePromotions } from '../support/aws/promotion-race.ts';

const ROUNDS = 500;

test(`8 promoters, ${ROUNDS} rounds each, on one alias over 3 registry processes`, needsLocalAws(), async (t) => {
  const share = Number(process.env['SOAK_SHARE'] ?? 1);
  const servers = await startAwsTestServers();
  try {
    const settings = await servers.newStore();
    const { won, lost } = await racePromotions(registryEnv(settings), Math.ceil(ROUNDS * share), 1);
    t.diagnostic(`${won} moves, ${lost} lost races`);
    assert.ok(won > 0 && lost > 0);
  } finally {
    await servers.stop();
  }
});
