import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { it } from 'node:test';
import { GetItemCommand } from '@aws-sdk/client-dynamodb';
import { HeadBucketCommand } from '@aws-sdk/client-s3';
import { isMisconfigured } from '../../../../proto/wire/errors.ts';
import { createDynamoClient, createS3Client } from '../../../../registry/adapters/aws/aws-clients.ts';
import { isTransient, translateAwsError } from '../../../../registry/adapters/aws/aws-errors.ts';

const GET_ITEM = new GetItemCommand({ TableName: 't', Key: { pk: { S: 'a' }, sk: { S: 'b' } } });

const WAYS: Readonly<Record<string, (answer: ServerResponse) => void>> = {
  'no answer': () => undefined,
  'an answer that stands still': (answer) => answer.writeHead(200, { 'content-length': 100 }).write('{'),
};

for (const [way, respond] of Object.entries(WAYS)) {
  it(`DynamoDB's client gives up ${way}, to be tried again`, async () => {
    await using server = await startServer(respond);
    const client = createDynamoClient(server.settings, { idleMs: 50 });
    await assert.rejects(client.send(GET_ITEM), isTransient);
    client.destroy();
  });
}

it('a refusal names the permission that the request lacks', async () => {
  await using server = await startServer((answer) => answer.writeHead(403).end('{"__type":"AccessDeniedException"}'));
  const dynamo = createDynamoClient(server.settings);
  const s3 = createS3Client(server.settings);
  const asking = [
    [dynamo.send(GET_ITEM), { kind: 'table', name: 't' }, 'dynamodb:GetItem'],
    [s3.send(new HeadBucketCommand({ Bucket: 'b' })), { kind: 'bucket', name: 'b' }, 's3:ListBucket'],
  ] as const;
  for (const [answer, place, permission] of asking) {
    const refused = translateAwsError(await answer.catch((error: unknown) => error), place);
    assert.ok(isMisconfigured(refused));
    assert.equal(refused.metadata['permission'], permission);
  }
  dynamo.destroy();
  s3.destroy();
});

it('a clock that is wrong makes a refused signature worth another try, and nothing else', async () => {
  const statuses = [403, 404, 404, 412];
  await using server = await startServer((answer) => {
    answer.setHeader('Date', new Date(Date.now() + 3_600_000 + 60_000 * statuses.length).toUTCString());
    answer.writeHead(statuses.shift() ?? 500).end();
  });
  const client = createS3Client(server.settings);
  const tries: boolean[] = [];
  while (statuses.length > 0) {
    const error = await client.send(new HeadBucketCommand({ Bucket: 'b' })).catch((failure: unknown) => failure);
    tries.push(isTransient(error));
  }
  assert.deepEqual(tries, [true, false, false, false]);
  client.destroy();
});

/** A server of this machine, and the settings that take it for AWS. */
async function startServer(respond: (answer: ServerResponse) => void) {
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' });
  const server = createServer((_, answer) => respond(answer)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const names = { region: 'us-east-1', table: 't', bucket: 'b', prefix: '', kmsKeyId: undefined };
  return {
    settings: { ...names, dynamoEndpoint: url, s3Endpoint: url },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
