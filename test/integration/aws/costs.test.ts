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
    for (const { call, computed, reported } of costs) {
      assert.deepEqual(reported, computed, call);
    }
  } finally {
    await servers.stop();
  }
});
