import assert from 'node:assert/strict';
import { it } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { createDynamoClient } from '../../../registry/adapters/aws/aws-clients.ts';
import { DynamoReports } from '../../../registry/adapters/aws/dynamo-reports.ts';
import { DynamoTable } from '../../../registry/adapters/aws/dynamo-table.ts';
import { keys } from '../../../registry/adapters/aws/table-layout.ts';
import { liveReport } from '../../contract/server-reports-contract.ts';
import { needsLocalAws, pace, startAwsTestServers } from '../../support/aws/aws-test-store.ts';
import { HANG_MS } from '../../support/hang-limit.ts';
import { never } from '../../support/registry/publish.ts';

const DAY_MS = 24 * 3_600_000;

it('DynamoDB removes what servers reported that left or fell silent, and nothing else', needsLocalAws(), async () => {
  const servers = await startAwsTestServers();
  try {
    const settings = await servers.newStore();
    const table = new DynamoTable(createDynamoClient(settings), pace, settings.table);
    const reports = new DynamoReports(table);
    const yesterday = { reportTimeMs: Date.now() - DAY_MS, expireTimeMs: Date.now() - DAY_MS + 30_000 };
    await reports.put(liveReport('left', yesterday), never);
    await reports.remove('server-left', never);
    await reports.put(liveReport('silent', yesterday), never);
    await reports.put(liveReport('here', {}), never);
    const head = await reports.head(never);
    // DynamoDB Local looks every few seconds for what has ended, an account's table within days.
    const left = async () => (await table.query({ pk: keys.server('').pk }, never)).map(({ sk }) => sk);
    const limit = AbortSignal.timeout(HANG_MS);
    let ids = await left();
    while (ids.length > 1) {
      await setTimeout(200, undefined, { signal: limit });
      ids = await left();
    }
    assert.deepEqual(ids, [keys.server('server-here').sk]);
    assert.equal(await reports.head(never), head);
    table.close();
  } finally {
    await servers.stop();
  }
});
