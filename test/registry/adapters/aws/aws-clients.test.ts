import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { it } from 'node:test';
import { GetItemCommand } from '@aws-sdk/client-dynamodb';
import { HeadBucketCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { type ErrorReason, isMisconfigured } from '../../../../proto/wire/errors.ts';
import { createDynamoClient, createS3Client } from '../../../../registry/adapters/aws/aws-clients.ts';
import { isTransient, translateAwsError } from '../../../../registry/adapters/aws/aws-errors.ts';
import { S3Bucket } from '../../../../registry/adapters/aws/s3-bucket.ts';
import { instantPace } from '../../../support/aws/fake-client.ts';
import { never } from '../../../support/registry/publish.ts';
import { isError } from '../../../support/service-errors.ts';

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
  const answers: readonly [status: number, code: string][] = [
    [403, 'RequestTimeTooSkewed'],
    [403, 'AccessDenied'],
    [404, 'NoSuchBucket'],
    [412, 'PreconditionFailed'],
  ];
  let asked = 0;
  await using server = await startServer((answer) => {
    const [status, code] = answers[asked++] ?? [500, ''];
    answer.setHeader('Date', new Date(Date.now() + 3_600_000 + 60_000 * asked).toUTCString());
    answer.writeHead(status).end(`<Error><Code>${code}</Code></Error>`);
  });
  const client = createS3Client(server.settings);
  const tries: boolean[] = [];
  while (asked < answers.length) {
    const error = await client.send(new ListObjectsV2Command({ Bucket: 'b' })).catch((failure: unknown) => failure);
    tries.push(isTransient(error));
  }
  assert.deepEqual(tries, [true, false, false, false]);
  client.destroy();
});

/** What a HEAD's refusal has no body to say, and what is made of it. */
const HEAD_REFUSALS: readonly [status: number, code: string, reason: ErrorReason][] = [
  [400, 'ExpiredToken', 'CREDENTIALS_REFUSED'],
  [400, 'KMS.DisabledException', 'KMS_KEY_REFUSED'],
  [403, 'InvalidAccessKeyId', 'CREDENTIALS_REFUSED'],
  [403, 'AccessDenied', 'BUCKET_ACCESS_DENIED'],
];

it('a HEAD that is refused says why, whatever the clock, and asks once', async () => {
  for (const [status, code, reason] of HEAD_REFUSALS) {
    const methods: (string | undefined)[] = [];
    await using server = await startServer((answer, method) => {
      methods.push(method);
      answer.setHeader('Date', new Date(Date.now() + 3_600_000 + 60_000 * methods.length).toUTCString());
      answer.writeHead(status).end(method === 'HEAD' ? undefined : `<Error><Code>${code}</Code></Error>`);
    });
    const client = createS3Client(server.settings);
    const pace = instantPace();
    const bucket = new S3Bucket({ client, pace, onLeftover: () => undefined }, server.settings);
    await assert.rejects(bucket.head('key', never), isError('failed-precondition', reason));
    await assert.rejects(bucket.check(never), isError('failed-precondition', reason));
    assert.deepEqual([methods, pace.pauses], [['HEAD', 'GET', 'HEAD', 'GET'], []], code);
    client.destroy();
  }
});

it('a HEAD that only the clock stood in the way of is sent again, also of what is empty or in an archive', async () => {
  for (const [status, code] of [
    [206, ''],
    [416, 'InvalidRange'],
    [403, 'InvalidObjectState'],
  ] as const) {
    let heads = 0;
    await using server = await startServer((answer, method) => {
      answer.setHeader('Date', new Date(Date.now() + 3_600_000).toUTCString());
      if (method === 'HEAD') {
        answer.writeHead(heads++ === 0 ? 403 : 200, { 'content-length': 1 }).end();
      } else {
        answer.writeHead(status).end(`<Error><Code>${code}</Code></Error>`);
      }
    });
    const client = createS3Client(server.settings);
    const bucket = new S3Bucket({ client, pace: instantPace(), onLeftover: () => undefined }, server.settings);
    assert.equal((await bucket.head('key', never))?.sizeBytes, 1);
    assert.equal(heads, 2);
    client.destroy();
  }
});

/** A server of this machine, and the settings that take it for AWS. */
async function startServer(respond: (answer: ServerResponse, method: string | undefined) => void) {
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' });
  const server = createServer(({ method }, answer) => respond(answer, method)).listen(0, '127.0.0.1');
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
