import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ConfigError, type Environment, EnvReader } from '../../../infra/process/env.ts';
import { readListenSettings } from '../../../infra/process/listen.ts';

describe('listen settings', () => {
  const accepted: readonly (readonly [Environment, string, number])[] = [
    [{}, '127.0.0.1', 50_051],
    [{ R_HOST: '127.0.0.2', R_PORT: '0' }, '127.0.0.2', 0],
    [{ R_HOST: 'localhost' }, 'localhost', 50_051],
    [{ R_HOST: '::1' }, '[::1]', 50_051],
    [{ R_HOST: '0.0.0.0', MASKTERIAL_INSECURE: '1' }, '0.0.0.0', 50_051],
    [{ R_HOST: '::', MASKTERIAL_INSECURE: 'true' }, '[::]', 50_051],
  ];
  for (const [env, host, port] of accepted) {
    it(`${JSON.stringify(env)} is ${host}:${port}`, () => {
      const reader = new EnvReader(env);
      const settings = readListenSettings(reader, 'R', 50_051);
      reader.finish({});
      assert.deepEqual(settings, { host, port });
    });
  }

  for (const env of [
    { R_HOST: '0.0.0.0' },
    { R_HOST: '::' },
    { R_HOST: 'example.org' },
    { R_HOST: '127.example.org' },
    { R_PORT: '65536' },
  ]) {
    it(`${JSON.stringify(env)} is a problem`, () => {
      const reader = new EnvReader(env);
      readListenSettings(reader, 'R', 50_051);
      assert.throws(() => reader.finish({}), ConfigError);
    });
  }
});
