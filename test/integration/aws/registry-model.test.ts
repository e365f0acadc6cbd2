import assert from 'node:assert/strict';
import { it } from 'node:test';
import { needsLocalAws, startAwsTestServers } from '../../support/aws/aws-test-store.ts';
import { checkRegistry } from '../../support/registry-model/check-registry.ts';
import { openAwsServerStore } from '../../support/registry-model/server-store.ts';

it('registries on AWS answer any sequence of calls as the reference does', needsLocalAws(), async (t) => {
  const servers = await startAwsTestServers();
  try {
    const settings = { seed: 1, runs: 10, maxCalls: 100 };
    const { calls, refused } = await checkRegistry((clock) => openAwsServerStore(servers, clock), settings);
    t.diagnostic(`${calls} calls, ${refused} refused as they should be`);
    assert.ok(calls > 2 * refused);
  } finally {
    await servers.stop();
  }
});
