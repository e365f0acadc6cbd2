import { after, before, describe } from 'node:test';
import { createDynamoClient } from '../../../registry/adapters/aws/aws-clients.ts';
import { openDynamoCatalog } from '../../../registry/adapters/aws/dynamo-catalog.ts';
import { describeCatalog } from '../../contract/catalog-contract.ts';
import { type AwsTestServers, needsAws, pace, startAwsTestStores } from '../../support/aws/aws-test-store.ts';
import { never } from '../../support/registry/publish.ts';

describe('on DynamoDB', needsAws(), () => {
  let servers: AwsTestServers;
  before(async () => {
    servers = await startAwsTestStores();
  });
  after(() => servers.stop());

  describeCatalog('DynamoDB', async () => {
    const settings = await servers.newStore();
    const open = () => openDynamoCatalog({ client: createDynamoClient(settings), pace }, settings, never);
    const catalog = await open();
    return { catalog, openAnother: open, close: async () => catalog.close() };
  });
});
