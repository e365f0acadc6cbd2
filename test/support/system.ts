import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openPublishable } from '../../clients/cli/open-publishable.ts';
import { createInferenceClient, type InferenceClient } from '../../clients/inference-client.ts';
import { createRegistryClient, type RegistryClient } from '../../clients/registry-client.ts';
import { readInferenceConfig } from '../../inference/config.ts';
import { type RunningInference, startInference } from '../../inference/main.ts';
import { createLogger } from '../../infra/process/log.ts';
import { ModelKind, type Version } from '../../proto/gen/maskterial/registry/v1/model.ts';
import type { Manifest } from '../../proto/wire/manifest.ts';
import { readRegistryConfig } from '../../registry/config.ts';
import { type RunningRegistry, startRegistry } from '../../registry/main.ts';
import { HANG_MS } from './hang-limit.ts';
import { lastingPort } from './lasting-port.ts';

/** Long enough for a loaded machine, short enough that a hanging test is not waited for. */
const WAIT_MS = 180_000;

const KINDS: Readonly<Record<Manifest['kind'], ModelKind>> = {
  segmentation: ModelKind.MODEL_KIND_SEGMENTATION,
  classification: ModelKind.MODEL_KIND_CLASSIFICATION,
  postprocessing: ModelKind.MODEL_KIND_POSTPROCESSING,
  generic: ModelKind.MODEL_KIND_GENERIC,
};

/** Both services on a temporary folder and free ports, as the command line starts them, with clients. */
export class TestSystem implements AsyncDisposable {
  readonly folder: string;
  readonly registry: RegistryClient;
  #registryServer: RunningRegistry | undefined;
  readonly #registryEnv: Readonly<Record<string, string>>;
  #inferenceServer: RunningInference | undefined;
  #inferenceClient: InferenceClient | undefined;

  private constructor(folder: string, registryServer: RunningRegistry, registryEnv: Readonly<Record<string, string>>) {
    this.folder = folder;
    this.#registryEnv = registryEnv;
    this.#registryServer = registryServer;
    this.registry = createRegistryClient({ address: registryServer.address, timeoutMs: WAIT_MS });
  }

  /** Starts the registry, and the inference server unless told not to. */
  static async start(
    options: {
      readonly inference?: boolean;
      readonly env?: Readonly<Record<string, string>>;
      readonly registryEnv?: Readonly<Record<string, string>>;
    } = {},
  ): Promise<TestSystem> {
    const folder = await mkdtemp(join(tmpdir(), 'maskterial-test-'));
    const { registryEnv = {} } = options;
    const config = registryConfig(folder, await lastingPort(), registryEnv);
    const system = new TestSystem(folder, await startRegistry(config, { logger: quiet('registry') }), registryEnv);
    try {
      if (options.inference !== false) {
        await system.startInference(options.env);
      }
      return system;
    } catch (error) {
      // Nobody else knows of it: its registry would keep the test's file from ending.
      await system[Symbol.asyncDispose]();
      throw error;
    }
  }

  get inference(): InferenceClient {
    if (this.#inferenceClient === undefined) {
      throw new Error('the inference server is not running');
    }
    return this.#inferenceClient;
  }

  get registryAddress(): string {
    return this.registry.address;
  }

  get registryData(): string {
    return join(this.folder, 'registry');
  }

  get modelPath(): string {
    return join(this.folder, 'models');
  }

  async startInference(env: Readonly<Record<string, string>> = {}): Promise<void> {
    const config = readInferenceConfig({
      INFERENCE_PORT: '0',
      REGISTRY_ADDRESS: this.registry.address,
      MODEL_PATH: this.modelPath,
      ENGINES: '1',
      HEAVY_WARM_UP_PIXELS: '10000',
      // Engines that load or run for as long as a busy machine takes do not hang.
      LOAD_TIMEOUT_MS: String(HANG_MS),
      ENGINE_RUN_LIMIT_MS: String(HANG_MS),
      GRACE_MS: '20000',
      LOG_LEVEL: logLevel(),
      ...env,
    });
    this.#inferenceServer = await startInference(config, { logger: quiet('inference') });
    this.#inferenceClient = createInferenceClient({ address: this.#inferenceServer.address, timeoutMs: WAIT_MS });
  }

  async stopInference(): Promise<void> {
    this.#inferenceClient?.close();
    this.#inferenceClient = undefined;
    await this.#inferenceServer?.stop();
    this.#inferenceServer = undefined;
  }

  async stopRegistry(): Promise<void> {
    await this.#registryServer?.stop();
    this.#registryServer = undefined;
  }

  /** On the same folder and port as before. */
  async restartRegistry(): Promise<void> {
    const port = Number(this.registry.address.split(':').at(-1));
    this.#registryServer = await startRegistry(registryConfig(this.folder, port, this.#registryEnv), {
      logger: quiet('registry'),
    });
  }

  /** Imports the bundle at `path` and publishes it as the next version of `model`. */
  async publish(path: string, model: string): Promise<Version> {
    const signal = AbortSignal.timeout(WAIT_MS);
    const publishable = await openPublishable(path, signal);
    try {
      const { manifest, manifestBytes, files } = publishable;
      await this.registry.ensureModel({ name: model, kind: KINDS[manifest.kind] }, { signal });
      return (await this.registry.publishVersion({ model, manifestBytes, files }, { signal })).version;
    } finally {
      await publishable.close();
    }
  }

  async promote(version: Version, alias = 'production'): Promise<void> {
    await this.registry.promote(version.model, version.version, alias);
  }

  /** Publishes, promotes and waits until the inference server serves it. */
  async release(path: string, model: string): Promise<Version> {
    const version = await this.publish(path, model);
    await this.promote(version);
    await this.untilServing(version);
    return version;
  }

  /** Asks until the status says that `alias` serves `version`. */
  async untilServing({ model, version }: Version, alias = 'production'): Promise<void> {
    await this.until(async () => {
      const { aliases } = await this.inference.getStatus();
      return aliases.some((entry) => entry.model === model && entry.alias === alias && entry.servingVersion === version);
    }, `${model}@${alias} serves ${version}`);
  }

  /** Asks again and again; what is waited for has no event that a client could await. */
  async until(check: () => Promise<boolean>, what: string): Promise<void> {
    const deadline = Date.now() + WAIT_MS;
    while (!(await check())) {
      if (Date.now() > deadline) {
        throw new Error(`waited ${WAIT_MS} ms in vain until ${what}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stopInference();
    this.registry.close();
    await this.stopRegistry();
    await rm(this.folder, { recursive: true, force: true });
  }
}

function registryConfig(
  folder: string,
  port: number,
  env: Readonly<Record<string, string>>,
): ReturnType<typeof readRegistryConfig> {
  const own = { REGISTRY_PORT: String(port), REGISTRY_DATA: join(folder, 'registry'), LOG_LEVEL: logLevel() };
  return readRegistryConfig({ ...own, ...env });
}

function quiet(service: string): ReturnType<typeof createLogger> {
  return createLogger(logLevel(), service);
}

/** The servers' own log only hides what a failing test says. */
function logLevel(): 'silent' {
  return 'silent';
}
