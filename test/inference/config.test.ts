import assert from 'node:assert/strict';
import { homedir, totalmem } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { readInferenceConfig } from '../../inference/config.ts';
import { ConfigError } from '../../infra/process/env.ts';

/** Names of the settings that are complained about. */
function problems(env: Readonly<Record<string, string>>): string[] {
  try {
    readInferenceConfig(env);
    return [];
  } catch (error) {
    assert.ok(error instanceof ConfigError);
    return error.problems.map((problem) => problem.split(':')[0] ?? '');
  }
}

test('everything has a default', () => {
  const { engines, maxImagesAtOnce, heavyEngineThreads, heavyMemoryBytes, ...config } = readInferenceConfig({});
  assert.ok(engines >= 1);
  assert.equal(maxImagesAtOnce, 2 * engines);
  assert.ok(heavyEngineThreads === 1 || heavyEngineThreads === 2);
  assert.ok(heavyMemoryBytes > 100_000_000 && heavyMemoryBytes <= totalmem());
  assert.deepEqual(config, {
    listen: { host: '127.0.0.1', port: 50_052 },
    registryAddress: '127.0.0.1:50051',
    s3: { region: 'us-east-1', endpoint: undefined },
    cacheFolders: ['/opt/maskterial/models', join(homedir(), '.cache', 'maskterial', 'models')],
    cacheBudgetBytes: 0,
    servedModels: ['*'],
    servedAliases: ['production', 'canary'],
    maxOnDemand: 4,
    engineThreads: 1,
    loadTimeoutMs: 120_000,
    engineRunLimitMs: 60_000,
    engineMemoryLimitBytes: 0,
    heavyEngines: 1,
    heavyWarmUpPixels: 2_304_000,
    heavyLoadTimeoutMs: 600_000,
    heavyRunLimitMs: 600_000,
    heavyUnloadFirst: false,
    heavyMemoryLimitBytes: 0,
    maxWaiting: 32,
    maxWaitingBytes: 536_870_912,
    maxStreamBytes: 536_870_912,
    maxImageBytes: 33_554_432,
    maxImagePixels: 50_000_000,
    graceMs: 30_000,
    logLevel: 'info',
  });
});

test('everything can be set', () => {
  assert.deepEqual(
    readInferenceConfig({
      INFERENCE_HOST: '::1',
      INFERENCE_PORT: '0',
      REGISTRY_ADDRESS: 'registry.internal:1',
      AWS_REGION: 'eu-west-1',
      AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:9000',
      MODEL_PATH: '/models',
      CACHE_BUDGET_BYTES: '123456789012',
      SERVED_MODELS: 'CLS_*, SEG_M2F',
      SERVED_ALIASES: 'staging',
      MAX_ON_DEMAND_VERSIONS: '1',
      ENGINES: '3',
      ENGINE_THREADS: '2',
      LOAD_TIMEOUT_MS: '90000',
      ENGINE_RUN_LIMIT_MS: '5000',
      ENGINE_MEMORY_LIMIT_BYTES: process.platform === 'linux' ? '3000000000' : '',
      HEAVY_ENGINES: '2',
      HEAVY_ENGINE_THREADS: '3',
      HEAVY_RUN_LIMIT_MS: '7000',
      HEAVY_LOAD_TIMEOUT_MS: '8000',
      HEAVY_WARM_UP_PIXELS: '4096',
      HEAVY_MEMORY_BYTES: '5000000000',
      HEAVY_UNLOAD_FIRST: 'true',
      HEAVY_ENGINE_MEMORY_LIMIT_BYTES: process.platform === 'linux' ? '4000000000' : '',
      MAX_WAITING_IMAGES: '0',
      MAX_WAITING_BYTES: '0',
      MAX_STREAM_IMAGES: '5',
      MAX_STREAM_BYTES: '7',
      MAX_IMAGE_BYTES: '1',
      MAX_IMAGE_PIXELS: '2',
      GRACE_MS: '0',
      LOG_LEVEL: 'debug',
    }),
    {
      listen: { host: '[::1]', port: 0 },
      registryAddress: 'registry.internal:1',
      s3: { region: 'eu-west-1', endpoint: 'http://127.0.0.1:9000' },
      cacheFolders: ['/models'],
      cacheBudgetBytes: 123_456_789_012,
      servedModels: ['CLS_*', 'SEG_M2F'],
      servedAliases: ['staging'],
      maxOnDemand: 1,
      engines: 3,
      engineThreads: 2,
      loadTimeoutMs: 90_000,
      engineRunLimitMs: 5000,
      engineMemoryLimitBytes: process.platform === 'linux' ? 3_000_000_000 : 0,
      heavyEngines: 2,
      heavyEngineThreads: 3,
      heavyWarmUpPixels: 4096,
      heavyLoadTimeoutMs: 8000,
      heavyRunLimitMs: 7000,
      heavyMemoryBytes: 5_000_000_000,
      heavyUnloadFirst: true,
      heavyMemoryLimitBytes: process.platform === 'linux' ? 4_000_000_000 : 0,
      maxWaiting: 0,
      maxWaitingBytes: 0,
      maxImagesAtOnce: 5,
      maxStreamBytes: 7,
      maxImageBytes: 1,
      maxImagePixels: 2,
      graceMs: 0,
      logLevel: 'debug',
    },
  );
});

test('the settings cannot be changed', () => {
  assert.ok(Object.isFrozen(readInferenceConfig({})));
});

test('all problems are told at once', () => {
  assert.deepEqual(
    problems({
      MODEL_PATH: 'models',
      REGISTRY_ADDRESS: 'registry',
      INFERENCE_HOST: '0.0.0.0',
      INFERENCE_PORT: '70000',
      CACHE_BUDGET_BYTES: '1 GB',
      MAX_ON_DEMAND_VERSIONS: '0',
      ENGINES: '0',
      ENGINE_THREADS: '-1',
      LOAD_TIMEOUT_MS: '0',
      ENGINE_RUN_LIMIT_MS: '0',
      ENGINE_MEMORY_LIMIT_BYTES: '1G',
      MAX_WAITING_IMAGES: 'many',
      MAX_WAITING_BYTES: '-1',
      MAX_STREAM_IMAGES: '0',
      MAX_IMAGE_BYTES: '99999999999',
      MAX_IMAGE_PIXELS: '1.5',
      GRACE_MS: '',
      LOG_LEVEL: 'loud',
    }).toSorted(),
    [
      'CACHE_BUDGET_BYTES',
      'ENGINES',
      'ENGINE_MEMORY_LIMIT_BYTES',
      'ENGINE_RUN_LIMIT_MS',
      'ENGINE_THREADS',
      'INFERENCE_HOST',
      'INFERENCE_PORT',
      'LOAD_TIMEOUT_MS',
      'LOG_LEVEL',
      'MAX_IMAGE_BYTES',
      'MAX_IMAGE_PIXELS',
      'MAX_ON_DEMAND_VERSIONS',
      'MAX_STREAM_IMAGES',
      'MAX_WAITING_BYTES',
      'MAX_WAITING_IMAGES',
      'MODEL_PATH',
      'REGISTRY_ADDRESS',
    ],
  );
});

test("a folder of the user's own choice is the only one; unset or empty there are two", () => {
  assert.deepEqual(readInferenceConfig({ MODEL_PATH: '/srv/models' }).cacheFolders, ['/srv/models']);
  assert.deepEqual(readInferenceConfig({ MODEL_PATH: '', XDG_CACHE_HOME: '/xdg' }).cacheFolders, [
    '/opt/maskterial/models',
    '/xdg/maskterial/models',
  ]);
  assert.deepEqual(problems({ MODEL_PATH: './models' }), ['MODEL_PATH']);
});

for (const [host, isAllowed] of [
  ['127.0.0.1', true],
  ['127.9.9.9', true],
  ['localhost', true],
  ['::1', true],
  ['0.0.0.0', false],
  ['::', false],
  ['10.0.0.5', false],
  ['example.org', false],
] as const) {
  test(`${host} is ${isAllowed ? 'open to this machine alone' : 'refused without MASKTERIAL_INSECURE'}`, () => {
    assert.deepEqual(problems({ INFERENCE_HOST: host }), isAllowed ? [] : ['INFERENCE_HOST']);
    assert.deepEqual(problems({ INFERENCE_HOST: host, MASKTERIAL_INSECURE: '1' }), []);
  });
}

for (const [address, isRight] of [
  ['localhost:50051', true],
  ['[::1]:65535', true],
  ['registry:0', false],
  ['registry:65536', false],
  ['registry', false],
  [':50051', false],
] as const) {
  test(`the registry at "${address}" ${isRight ? 'can be' : 'cannot be'}`, () => {
    assert.deepEqual(problems({ REGISTRY_ADDRESS: address }), isRight ? [] : ['REGISTRY_ADDRESS']);
  });
}
