import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readServeSettings, type Services, unknownVariables } from '../../../clients/cli/serve-settings.ts';
import { ConfigError } from '../../../infra/process/env.ts';

/** Names of the variables that are complained about. */
function problems(services: Services, env: Readonly<Record<string, string>>): string[] {
  try {
    readServeSettings(services, env);
    return [];
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.problems.map((problem) => problem.split(':')[0] ?? '').toSorted();
  }
}

const WRONG = {
  REGISTRY_PORT: 'x',
  REGISTRY_DATA: 'relative',
  INFERENCE_HOST: '0.0.0.0',
  MODEL_PATH: 'relative',
  ENGINES: '0',
  GRACE_MS: '-1',
  LOG_LEVEL: 'loud',
};

test('every problem of all services that are started is told at once, and each once', () => {
  assert.deepEqual(problems('all', WRONG), Object.keys(WRONG).toSorted());
  assert.deepEqual(problems('registry', WRONG), ['GRACE_MS', 'LOG_LEVEL', 'REGISTRY_DATA', 'REGISTRY_PORT']);
  assert.deepEqual(problems('inference', WRONG), ['ENGINES', 'GRACE_MS', 'INFERENCE_HOST', 'LOG_LEVEL', 'MODEL_PATH']);
});

test('the settings of what is started, and of nothing else', () => {
  const both = readServeSettings('all', { REGISTRY_PORT: '1', INFERENCE_PORT: '2', REGISTRY_ADDRESS: 'of no use here' });
  assert.deepEqual([both.registry?.listen.port, both.inference?.listen.port], [1, 2]);
  assert.equal(readServeSettings('registry', {}).inference, undefined);
  assert.equal(readServeSettings('inference', {}).registry, undefined);
  assert.deepEqual(problems('inference', { REGISTRY_ADDRESS: 'x' }), ['REGISTRY_ADDRESS']);
});

for (const [variable, meant] of [
  ['MODELS_PATH', 'MODEL_PATH'],
  ['ENGINE', 'ENGINES'],
  ['SERVED_ALIAS', 'SERVED_ALIASES'],
  ['MAX_WAITING_IMAGE', 'MAX_WAITING_IMAGES'],
  ['model_path', 'MODEL_PATH'],
  ['MASKTERIAL_INSECUR', 'MASKTERIAL_INSECURE'],
  ['MASKTERIAL_CACHE', undefined],
] as const) {
  test(`${variable} looks like ${meant ?? 'a setting of ours'}`, () => {
    assert.deepEqual(unknownVariables({ [variable]: '1' }), [{ variable, meant }]);
  });
}

test('what the services read, the other commands read, or nobody here can have meant is not told of', () => {
  const env = {
    REGISTRY_HOST: '127.0.0.1',
    INFERENCE_PORT: '1',
    GRACE_MS: 'wrong, and told elsewhere',
    MASKTERIAL_REGISTRY: 'x:1',
    PATH: '/bin',
    HOME: '/root',
    EDITOR: 'vi',
    XDG_DATA_DIRS: '/usr/share',
    SSH_AGENT_PID: '1',
  };
  assert.deepEqual(unknownVariables(env), []);
});
