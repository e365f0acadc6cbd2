import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPublishable } from '../../clients/cli/open-publishable.ts';
import { MODEL_KINDS } from '../../clients/cli/publish-one.ts';
import { createInferenceClient, type InferenceClient } from '../../clients/inference-client.ts';
import { createRegistryClient, type RegistryClient } from '../../clients/registry-client.ts';
import { startServeProcess } from '../support/serve-process.ts';
import type { BenchModel } from './model.ts';

const WAIT_MS = 60_000;

export interface Services extends AsyncDisposable {
  readonly registry: RegistryClient;
  readonly inference: InferenceClient;
  readonly processes: readonly { readonly what: string; readonly pid: number }[];
  /** Publishes, promotes, and waits until it serves. Gives `NAME:version`. */
  release(model: BenchModel): Promise<string>;
  /** Gives the version's number. */
  publish(model: BenchModel): Promise<number>;
  /** Moves `production` and waits until the version serves. */
  promote(name: string, version: number): Promise<void>;
}

/** The two services as processes of their own, on a temporary folder, as a user runs them. */
export async function startServices(env: Readonly<Record<string, string>> = {}): Promise<Services> {
  const folder = await mkdtemp(join(tmpdir(), 'maskterial-bench-'));
  const settings = { LOG_LEVEL: 'warn', ...env };
  const first = await startServeProcess('registry', { ...settings, REGISTRY_PORT: '0', REGISTRY_DATA: join(folder, 'registry') });
  const second = await startServeProcess('inference', {
    ...settings,
    INFERENCE_PORT: '0',
    MODEL_PATH: join(folder, 'models'),
    REGISTRY_ADDRESS: first.address,
  });
  const registry = createRegistryClient({ address: first.address, timeoutMs: WAIT_MS });
  const inference = createInferenceClient({ address: second.address, timeoutMs: WAIT_MS });
  return {
    registry,
    inference,
    processes: [first, second],
    release: async (model) => {
      const version = await publish(model, registry);
      await promote(model.name, version, registry, inference);
      return `${model.name}:${version}`;
    },
    publish: (model) => publish(model, registry),
    promote: (name, version) => promote(name, version, registry, inference),
    [Symbol.asyncDispose]: async () => {
      registry.close();
      inference.close();
      await second.end('SIGTERM');
      await first.end('SIGTERM');
      await rm(folder, { recursive: true, force: true });
    },
  };
}

async function publish({ name, path }: BenchModel, registry: RegistryClient): Promise<number> {
  const publishable = await openPublishable(path, AbortSignal.timeout(WAIT_MS));
  try {
    await registry.ensureModel({ name, kind: MODEL_KINDS[publishable.manifest.kind] });
    const { version } = await registry.publishVersion({ model: name, ...publishable });
    return version.version;
  } finally {
    await publishable.close();
  }
}

async function promote(name: string, version: number, registry: RegistryClient, inference: InferenceClient): Promise<void> {
  await registry.promote(name, version, 'production');
  for (;;) {
    const { aliases } = await inference.getStatus();
    if (aliases.some(({ model, servingVersion }) => model === name && servingVersion === version)) {
      return;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
