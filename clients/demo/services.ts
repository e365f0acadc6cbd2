import { join } from 'node:path';
import { readInferenceConfig } from '../../inference/config.ts';
import { startInference } from '../../inference/main.ts';
import type { Environment } from '../../infra/process/env.ts';
import { createLogger, type LogLevel } from '../../infra/process/log.ts';
import { ModelKind, type Version } from '../../proto/gen/maskterial/registry/v1/model.ts';
import { readRegistryConfig } from '../../registry/config.ts';
import { startRegistry } from '../../registry/main.ts';
import { openBundle } from '../cli/open-publishable.ts';
import { createInferenceClient, type InferenceClient } from '../inference-client.ts';
import { createRegistryClient, type RegistryClient } from '../registry-client.ts';

/** Both services on free ports of this machine, with clients for them. */
export interface DemoServices {
  readonly registry: RegistryClient;
  readonly inference: InferenceClient;
  /** Ends what was started, the last first. */
  stop(): Promise<void>;
}

/** How long calls in hand may take at the end; there are none but watches. */
const GRACE_MS = 5_000;

/** Starts the registry and an inference server in this process (its engines are processes of their own); they store under `folder`. */
export async function startDemoServices(folder: string, logLevel: LogLevel): Promise<DemoServices> {
  const running: (() => Promise<void> | void)[] = [];
  const stop = async (): Promise<void> => {
    for (const end of running.splice(0).toReversed()) {
      await end();
    }
  };
  // Settings of the caller's own services are no business of the demo's.
  const shared: Environment = { GRACE_MS: String(GRACE_MS), LOG_LEVEL: logLevel };
  try {
    const registryConfig = readRegistryConfig({ ...shared, REGISTRY_PORT: '0', REGISTRY_DATA: join(folder, 'registry') });
    const registryServer = await startRegistry(registryConfig, { logger: createLogger(logLevel, 'registry') });
    running.push(() => registryServer.stop());
    const inferenceConfig = readInferenceConfig({
      ...shared,
      INFERENCE_PORT: '0',
      REGISTRY_ADDRESS: registryServer.address,
      MODEL_PATH: join(folder, 'models'),
      ENGINES: '1',
    });
    const inferenceServer = await startInference(inferenceConfig, { logger: createLogger(logLevel, 'inference') });
    running.push(() => inferenceServer.stop());
    const registry = createRegistryClient({ address: registryServer.address });
    running.push(() => registry.close());
    const inference = createInferenceClient({ address: inferenceServer.address });
    running.push(() => inference.close());
    return { registry, inference, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Imports the classifier bundle in `folder` and publishes it as a version of `model`, which is created if it is not there. */
export async function publishBundle(
  registry: RegistryClient,
  folder: string,
  model: string,
  signal: AbortSignal,
): Promise<Version> {
  const bundle = await openBundle(folder, signal);
  try {
    await registry.ensureModel({ name: model, kind: ModelKind.MODEL_KIND_CLASSIFICATION }, { signal });
    const { manifestBytes, files } = bundle;
    return (await registry.publishVersion({ model, manifestBytes, files }, { signal })).version;
  } finally {
    await bundle.close();
  }
}
