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
