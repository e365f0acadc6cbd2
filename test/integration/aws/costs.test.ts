import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createDynamoClient } from '../../../registry/adapters/aws/aws-clients.ts';
import { needsAws, startAwsTestStores } from '../../support/aws/aws-test-store.ts';
import { measureCosts } from '../../support/aws/costs.ts';

it('DynamoDB counts the capacity units that item sizes give', needsAws(), async () => {
  const servers = await startAwsTestStores();
  try {
    const settings = await servers.newStore();
    const costs = await measureCosts(createDynamoClient(settings), settings.table);
    let units = 0;
    for (const { call, all, alike } of costs) {
      // What DynamoDB Local says of transactions is not what they cost; an account says it.
      const { computed, reported } = settings.dynamoEndpoint === undefined ? all : alike;
      assert.deepEqual(reported, computed, call);
      units += reported.reads + reported.writes;
    }
    assert.ok(units > 50, `${units} units in all`);
  } finally {
    await servers.stop();
  }
});
