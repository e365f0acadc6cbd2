import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { openPublishable } from '../../clients/cli/open-publishable.ts';
import { createInferenceClient, type InferenceClient } from '../../clients/inference-client.ts';
import { createRegistryClient } from '../../clients/registry-client.ts';
import { CacheLayout } from '../../inference/cache/layout.ts';
import { RegistryConnection } from '../../proto/gen/maskterial/inference/v1/status.ts';
import { ModelKind } from '../../proto/gen/maskterial/registry/v1/model.ts';
import { lastingPort } from '../support/lasting-port.ts';
import { makePicture, writeGmmBundle } from '../support/made-up.ts';
import { type ServeProcess, startServeProcess } from '../support/serve-process.ts';

const MODEL = 'CLS_GMM_Test';
const PATCH = { x: 50, y: 60, width: 40, height: 30, contrast: -0.15 };
const TIMEOUT_MS = 180_000;

test('both services killed: inference comes up alone from its cache and says so, and follows the registry once that is back', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'maskterial-killed-'));
  const running: ServeProcess[] = [];
  const start = async (what: 'registry' | 'inference', env: Record<string, string>): Promise<ServeProcess> => {
    const service = await startServeProcess(what, { LOG_LEVEL: 'fatal', ...env });
    running.push(service);
    return service;
  };
  try {
    const registryEnv = (port: string): Record<string, string> => ({
      REGISTRY_PORT: port,
      REGISTRY_DATA: join(folder, 'registry'),
    });
    const port = String(await lastingPort());
    const registry = await start('registry', registryEnv(port));
    const registryClient = createRegistryClient({ address: registry.address, timeoutMs: TIMEOUT_MS });
    const publish = async (name: string, contrasts: Record<number, number>): Promise<number> => {
      const publishable = await openPublishable(
        await writeGmmBundle(join(folder, name), contrasts),
        new AbortController().signal,
      );
      await registryClient.ensureModel({ name: MODEL, kind: ModelKind.MODEL_KIND_CLASSIFICATION });
      const { version } = await registryClient.publishVersion({ model: MODEL, ...publishable });
      await registryClient.promote(MODEL, version.version, 'production');
      await publishable.close();
      return version.version;
    };
    const first = await publish('one', { 1: -0.15, 2: -0.4 });
    const inferenceEnv = {
      INFERENCE_PORT: '0',
      MODEL_PATH: join(folder, 'models'),
      REGISTRY_ADDRESS: registry.address,
      ENGINES: '1',
    };
    const before = await start('inference', inferenceEnv);
    await withClient(before, (client) => untilServing(client, first));
    await untilRemembered(new CacheLayout(inferenceEnv.MODEL_PATH), first);

    await registry.end('SIGKILL');
    await before.end('SIGKILL');
    const alone = await start('inference', inferenceEnv);
    await withClient(alone, async (client) => {
      await untilServing(client, first);
      assert.equal(await classOfPatch(client), 1);
      const status = await client.getStatus();
      assert.equal(status.registry, RegistryConnection.REGISTRY_CONNECTION_DISCONNECTED);
      assert.equal(status.servingFromCache, true);

      await start('registry', registryEnv(port));
      const second = await publish('two', { 1: -0.4, 2: -0.15 });
      await untilServing(client, second);
      assert.equal(await classOfPatch(client), 2);
    });
    registryClient.close();
  } finally {
    await Promise.all(running.map((service) => service.end('SIGKILL')));
    await rm(folder, { recursive: true, force: true });
  }
});

async function withClient(service: ServeProcess, use: (client: InferenceClient) => Promise<void>): Promise<void> {
  const client = createInferenceClient({ address: service.address, timeoutMs: TIMEOUT_MS });
  try {
    await use(client);
  } finally {
    client.close();
  }
}

async function untilServing(client: InferenceClient, version: number): Promise<void> {
  // Each question is a call to another process, so this loop does not spin; one asked in vain ends at the file's limit.
  while (!(await client.getStatus()).aliases.some(({ servingVersion }) => servingVersion === version)) {
    await setTimeout(20);
  }
}

/** A server goes on without waiting for a disk that takes longer than a second. */
async function untilRemembered({ state }: CacheLayout, version: number): Promise<void> {
  const isRemembered = async (): Promise<boolean> => {
    const names = existsSync(state) ? (await readdir(state)).filter((name) => name.endsWith('.json')) : [];
    const documents = await Promise.all(names.map((name) => readFile(join(state, name), 'utf8')));
    return documents.some((text) => text.includes(MODEL) && text.includes(`"version":${version},"revision"`));
  };
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  while (!(await isRemembered())) {
    await setTimeout(20, undefined, { signal: limit });
  }
}

async function classOfPatch(client: InferenceClient): Promise<number | undefined> {
  const { flakes } = await client.predictFlakes(await makePicture([PATCH]), { classification: MODEL });
  return flakes[0]?.classIndex;
}
