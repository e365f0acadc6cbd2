import { after, before, describe } from 'node:test';
import { createDynamoClient } from '../../../registry/adapters/aws/aws-clients.ts';
import { DynamoReports } from '../../../registry/adapters/aws/dynamo-reports.ts';
import { DynamoTable } from '../../../registry/adapters/aws/dynamo-table.ts';
import { DynamoWishes } from '../../../registry/adapters/aws/dynamo-wishes.ts';
import { describePrefetchWishes } from '../../contract/prefetch-wishes-contract.ts';
import { describeServerReports } from '../../contract/server-reports-contract.ts';
import { type AwsTestServers, needsAws, pace, startAwsTestStores } from '../../support/aws/aws-test-store.ts';

describe('live state on DynamoDB', needsAws(), () => {
  let servers: AwsTestServers;
  before(async () => {
    servers = await startAwsTestStores();
  });
  after(() => servers.stop());

  const newTable = async (): Promise<DynamoTable> => {
    const settings = await servers.newStore();
    return new DynamoTable(createDynamoClient(settings), pace, settings.table);
  };
  describeServerReports('DynamoDB', async () => new DynamoReports(await newTable()));
  describePrefetchWishes('DynamoDB', async () => new DynamoWishes(await newTable()));
});
