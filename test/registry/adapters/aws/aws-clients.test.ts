import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { it } from 'node:test';
import { GetItemCommand } from '@aws-sdk/client-dynamodb';
import { isTransient } from '../../../../registry/adapters/aws/aws-errors.ts';
import { createDynamoClient } from '../../../../registry/adapters/aws/aws-clients.ts';

const WAYS: Readonly<Record<string, (answer: ServerResponse) => void>> = {
  'no answer': () => undefined,
  'an answer that stands still': (answer) => answer.writeHead(200, { 'content-length': 100 }).write('{'),
};

for (const [way, respond] of Object.entries(WAYS)) {
  it(`DynamoDB's client gives up ${way}, to be tried again`, async () => {
    Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' });
    const server = createServer((_, answer) => respond(answer)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const dynamoEndpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const settings = { region: 'us-east-1', table: 't', bucket: 'b', prefix: '', kmsKeyId: undefined, s3Endpoint: undefined };
    const client = createDynamoClient({ ...settings, dynamoEndpoint }, { idleMs: 50 });
    try {
      const asking = client.send(new GetItemCommand({ TableName: 't', Key: { pk: { S: 'a' }, sk: { S: 'b' } } }));
      await assert.rejects(asking, isTransient);
    } finally {
      client.destroy();
      server.closeAllConnections();
      server.close();
    }
  });
}
