import assert from 'node:assert/strict';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { ConfigError } from '../../infra/process/env.ts';
import { readRegistryConfig } from '../../registry/config.ts';

it('listens on this machine and keeps its data under the user folder by default', () => {
  const config = readRegistryConfig({});
  assert.deepEqual(config, {
    listen: { host: '127.0.0.1', port: 50_051 },
    dataFolder: join(homedir(), '.local', 'share', 'maskterial', 'registry'),
    aws: undefined,
    feedPollMs: 250,
    uploadIdleMs: 60_000,
    catalogProbeMs: 5000,
    serverTtlMs: 30_000,
    graceMs: 30_000,
    logLevel: 'info',
  });
  assert.ok(Object.isFrozen(config));
});

it('takes the data folder from REGISTRY_DATA, else from XDG_DATA_HOME', () => {
  assert.equal(readRegistryConfig({ XDG_DATA_HOME: '/data' }).dataFolder, '/data/maskterial/registry');
  assert.equal(readRegistryConfig({ XDG_DATA_HOME: '/data', REGISTRY_DATA: '/srv/registry' }).dataFolder, '/srv/registry');
});

it('reports every problem at once', () => {
  const env = {
    REGISTRY_DATA: 'relative',
    REGISTRY_PORT: 'x',
    REGISTRY_HOST: '0.0.0.0',
    REGISTRY_FEED_POLL_MS: '0',
    REGISTRY_UPLOAD_IDLE_MS: '0',
    REGISTRY_SERVER_TTL_MS: '999',
    LOG_LEVEL: 'loud',
  };
  assert.throws(
    () => readRegistryConfig(env),
    (error) => {
      assert.ok(error instanceof ConfigError);
      for (const name of Object.keys(env)) {
        assert.ok(
          error.problems.some((problem) => problem.startsWith(`${name}:`)),
          name,
        );
      }
      return error.problems.length === Object.keys(env).length;
    },
  );
});

it('is on AWS where a bucket is named', () => {
  assert.deepEqual(readRegistryConfig({ MODELS_S3_BUCKET: 'lab-models' }).aws, {
    region: 'us-east-1',
    table: 'maskterial-models',
    bucket: 'lab-models',
    prefix: '',
    kmsKeyId: undefined,
    dynamoEndpoint: undefined,
    s3Endpoint: undefined,
  });
  const env = {
    MODELS_S3_BUCKET: 'lab-models',
    MODELS_S3_PREFIX: '/maskterial/prod/',
    MODELS_S3_KMS_KEY_ID: 'alias/models',
    MODELS_TABLE: 'models',
    AWS_REGION: 'eu-west-1',
    AWS_DEFAULT_REGION: 'eu-north-1',
    AWS_ENDPOINT_URL: 'http://127.0.0.1:1',
    AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:2',
  };
  assert.deepEqual(readRegistryConfig(env).aws, {
    region: 'eu-west-1',
    table: 'models',
    bucket: 'lab-models',
    prefix: 'maskterial/prod',
    kmsKeyId: 'alias/models',
    dynamoEndpoint: 'http://127.0.0.1:1',
    s3Endpoint: 'http://127.0.0.1:2',
  });
  assert.equal(readRegistryConfig({ ...env, AWS_REGION: '' }).aws?.region, 'eu-north-1');
});

it('says which settings of AWS are wrong, or would have no effect', () => {
  const cases: [Record<string, string>, string[]][] = [
    [{ MODELS_TABLE: 'models' }, ['MODELS_TABLE']],
    [{ MODELS_S3_PREFIX: 'p', MODELS_S3_KMS_KEY_ID: 'k' }, ['MODELS_S3_KMS_KEY_ID', 'MODELS_S3_PREFIX']],
    [{ MODELS_S3_BUCKET: 'No Bucket', MODELS_TABLE: 'a b' }, ['MODELS_S3_BUCKET', 'MODELS_TABLE']],
    [{ MODELS_S3_BUCKET: 'bucket', MODELS_S3_PREFIX: 'a#b' }, ['MODELS_S3_PREFIX']],
    [{ MODELS_S3_BUCKET: 'bucket', MODELS_S3_PREFIX: 'p'.repeat(256) }, ['MODELS_S3_PREFIX']],
    [
      { MODELS_S3_BUCKET: 'bucket', AWS_REGION: 'us east', AWS_ENDPOINT_URL_S3: 'localhost:9000' },
      ['AWS_ENDPOINT_URL_S3', 'AWS_REGION'],
    ],
    [
      { MODELS_S3_BUCKET: 'bucket', AWS_DEFAULT_REGION: '!', AWS_ENDPOINT_URL: 'ftp://x' },
      ['AWS_DEFAULT_REGION', 'AWS_ENDPOINT_URL', 'AWS_ENDPOINT_URL'],
    ],
  ];
  for (const [env, names] of cases) {
    assert.throws(
      () => readRegistryConfig(env),
      (error) => {
        assert.ok(error instanceof ConfigError);
        assert.deepEqual(error.problems.map((problem) => problem.split(':')[0] ?? '').toSorted(), names);
        return true;
      },
    );
  }
});
