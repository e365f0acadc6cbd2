import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { it, mock } from 'node:test';
import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import { createS3Client } from '../../../../registry/adapters/aws/aws-clients.ts';
import { isTransient, translateAwsError } from '../../../../registry/adapters/aws/aws-errors.ts';
import { isCredentialOutage } from '../../../../registry/adapters/aws/credential-outage.ts';
import { awsError } from '../../../support/aws/fake-client.ts';
import { isError } from '../../../support/service-errors.ts';

const MINUTE_MS = 60_000;
const NONE_FOUND = 'Could not load credentials from any providers';

it('the SDK that finds no credentials where it found some before waits for them, and else says that there are none', async (t) => {
  // Only the environment gives credentials.
  Object.assign(process.env, {
    AWS_EC2_METADATA_DISABLED: 'true',
    AWS_CONFIG_FILE: '/nowhere',
    AWS_SHARED_CREDENTIALS_FILE: '/nowhere',
  });
  for (const name of ['AWS_PROFILE', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY']) {
    Reflect.deleteProperty(process.env, name);
  }
  const server = createServer((_, answer) => answer.end('<ListBucketResult></ListBucketResult>')).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const s3Endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const names = { region: 'us-east-1', table: 't', bucket: 'b', prefix: '', kmsKeyId: undefined, dynamoEndpoint: undefined };
  const client = createS3Client({ ...names, s3Endpoint });
  t.after(() => {
    mock.timers.reset();
    client.destroy();
    server.closeAllConnections();
    server.close();
  });
  const ask = () => client.send(new ListObjectsV2Command({ Bucket: 'b' }));
  const failure = async (): Promise<unknown> => {
    try {
      await ask();
    } catch (error) {
      return error;
    }
    return assert.fail('it did not fail');
  };

  const first = await failure();
  assert.ok(first instanceof Error);
  assert.deepEqual([first.message, isTransient(first)], [NONE_FOUND, false]);
  assert.ok(isError('failed-precondition', 'CREDENTIALS_REFUSED')(translateAwsError(first, { kind: 'bucket', name: 'b' })));

  const nowMs = Date.now();
  mock.timers.enable({ apis: ['Date'], now: nowMs });
  process.env['AWS_CREDENTIAL_EXPIRATION'] = new Date(nowMs + 10 * MINUTE_MS).toISOString();
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' });
  await ask();
  Reflect.deleteProperty(process.env, 'AWS_ACCESS_KEY_ID');
  mock.timers.setTime(nowMs + 11 * MINUTE_MS);
  const later = await failure();
  assert.equal(isTransient(later), true);
  assert.ok(isError('unavailable', 'STORAGE_UNAVAILABLE')(translateAwsError(later, { kind: 'bucket', name: 'b' })));
});

it('believes a provider that says why it failed', () => {
  const failed = (message: string, mark: object = { hadCredentials: true }) =>
    Object.assign(awsError('CredentialsProviderError', 0, mark), { message });
  assert.equal(isCredentialOutage(failed(NONE_FOUND)), true);
  assert.equal(isCredentialOutage(failed('169.254.170.23 is not a valid container metadata service hostname')), true);
  assert.equal(isCredentialOutage(failed(NONE_FOUND, {})), false);
  assert.equal(isCredentialOutage(failed('The SSO session associated with this profile has expired.')), false);
  assert.equal(isCredentialOutage(Object.assign(awsError('AccessDenied'), { message: NONE_FOUND, hadCredentials: true })), false);
});
