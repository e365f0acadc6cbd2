import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { digestOf, hexOf } from '../../../../proto/wire/digest.ts';
import { createS3Client } from '../../../../registry/adapters/aws/aws-clients.ts';
import { S3Bucket } from '../../../../registry/adapters/aws/s3-bucket.ts';
import { checksumOf } from '../../../../registry/adapters/aws/s3-layout.ts';
import { instantPace } from '../../../support/aws/fake-client.ts';
import { never } from '../../../support/registry/publish.ts';

test('an object is signed by the digest that is known, and not hashed again', async () => {
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' });
  const headers: NodeJS.Dict<string | string[]>[] = [];
  const server = createServer((request, response) => {
    headers.push(request.headers);
    request.resume().once('end', () => response.end());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const s3Endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const unused = { table: '', prefix: '', kmsKeyId: undefined, dynamoEndpoint: undefined };
  const client = createS3Client({ region: 'us-east-1', bucket: 'bucket', s3Endpoint, ...unused });
  const bucket = new S3Bucket(
    { client, pace: instantPace(), onLeftover: () => undefined },
    { bucket: 'bucket', kmsKeyId: undefined },
  );
  // Not that of the bytes: whoever hashes them finds another one.
  const digest = digestOf(Buffer.from('other bytes'));
  await bucket.put('key', Buffer.from('bytes'), digest, never);
  client.destroy();
  server.close();
  assert.deepEqual(
    headers.map((each) => [each['x-amz-content-sha256'], each['x-amz-checksum-sha256']]),
    [[hexOf(digest), checksumOf(digest)]],
  );
  assert.match(String(headers[0]?.['authorization']), /SignedHeaders=[^,]*x-amz-content-sha256/);
});
