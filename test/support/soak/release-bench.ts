import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { credentials } from '@grpc/grpc-js';
import { createInferenceClient } from '../../../clients/inference-client.ts';
import { createRegistryClient, type RegistryClient } from '../../../clients/registry-client.ts';
import { DEFAULT_RETRY } from '../../../clients/retry.ts';
import { ModelKind, type Version } from '../../../proto/gen/maskterial/registry/v1/model.ts';
import { RegistryServiceClient } from '../../../proto/gen/maskterial/registry/v1/registry_service.ts';
import type { BlobRef } from '../../../proto/wire/digest.ts';
import { HANG_MS } from '../hang-limit.ts';
import { lastingPort } from '../lasting-port.ts';
import { MeteredLink } from '../metered-link.ts';
import { stage, upload } from '../registry/publish.ts';
import { registryOverGrpc } from '../registry/registry-over-grpc.ts';
import { type Missing, missingInCache, missingOf, namesIn } from './held-chunks.ts';
import { type LargeVersion, makeLargeVersion } from './large-version.ts';
import { ReleaseReader } from './release-reader.ts';
import { type OpenStore, openFolderStore, type ReleaseStore, untilEmpty } from './release-store.ts';
import type { SeededRandom } from './seeded-random.ts';
import { CommandProcess, type Service, startService } from './service-process.ts';

export const MODEL = 'CLS_GMM_Soak';

/** What a lasting client sees of a registry that was killed for a while, on a busy machine, is for other tests. */
const PATIENT = { ...DEFAULT_RETRY, attempts: 9 };
/** What frames, other calls' messages and the watch add to the bytes of chunks. */
const FRAMES_BYTES = 1024 * 1024;

/**
 * Registry and inference server as processes on one store and one cache, each to be killed and started again. Clients other than
 * this bench's own reach the registry through a meter.
 */
export class ReleaseBench implements AsyncDisposable {
  readonly folder: string;
  readonly link: MeteredLink;
  readonly client: RegistryClient;
  readonly stub: RegistryServiceClient;
  readonly reader: ReleaseReader;
  readonly #store: ReleaseStore;
  readonly #port: number;
  readonly #random: SeededRandom;
  readonly #running = new Set<CommandProcess>();
  #registry: Service | undefined;
  #made = 0;

  private constructor(folder: string, store: ReleaseStore, port: number, link: MeteredLink, random: SeededRandom) {
    this.folder = folder;
    this.#store = store;
    this.#port = port;
    this.link = link;
    this.#random = random;
    const address = `127.0.0.1:${port}`;
    this.client = createRegistryClient({ address, timeoutMs: HANG_MS, retry: PATIENT });
    this.stub = new RegistryServiceClient(address, credentials.createInsecure(), {
      'grpc.initial_reconnect_backoff_ms': 50,
      'grpc.max_reconnect_backoff_ms': 200,
    });
    this.reader = new ReleaseReader({ client: this.client, stub: this.stub, model: MODEL });
  }

  static async start(random: SeededRandom, openStore: OpenStore = openFolderStore): Promise<ReleaseBench> {
    const folder = await mkdtemp(join(tmpdir(), 'maskterial-soak-'));
    await mkdir(join(folder, 'elsewhere'));
    const store = await openStore(folder);
    const port = await lastingPort();
    const bench = new ReleaseBench(folder, store, port, await MeteredLink.open(port), random);
    try {
      await bench.startRegistry();
      await bench.client.createModel({ name: MODEL, kind: ModelKind.MODEL_KIND_CLASSIFICATION });
      return bench;
    } catch (error) {
      await bench[Symbol.asyncDispose]();
      throw error;
    }
  }

  get registry(): Service {
    assert.ok(this.#registry !== undefined, 'the registry is not running');
    return this.#registry;
  }

  get modelPath(): string {
    return join(this.folder, 'models');
  }

  async startRegistry(): Promise<void> {
    const env = { ...this.#store.env, REGISTRY_PORT: String(this.#port), LOG_LEVEL: 'warn' };
    this.#registry = await startService('registry', { env, cwd: this.folder });
    this.#running.add(this.#registry.process);
  }

  async killRegistry(): Promise<void> {
    await this.kill(this.registry.process);
    this.#registry = undefined;
  }

  async startInference(): Promise<Service> {
    const env = {
      INFERENCE_PORT: '0',
      MODEL_PATH: this.modelPath,
      REGISTRY_ADDRESS: this.link.address,
      ENGINES: '1',
      LOAD_TIMEOUT_MS: String(HANG_MS),
      ENGINE_RUN_LIMIT_MS: String(HANG_MS),
      LOG_LEVEL: 'info',
    };
    const service = await startService('inference', { env, cwd: join(this.folder, 'elsewhere') });
    this.#running.add(service.process);
    return service;
  }

  /** Asks until production is served as this version. */
  async untilServing({ address }: Service, version: LargeVersion): Promise<void> {
    const { version: number } = await this.versionOf(version);
    const client = createInferenceClient({ address, timeoutMs: HANG_MS });
    try {
      while (!(await client.getStatus()).aliases.some(({ servingVersion }) => servingVersion === number)) {
        await setTimeout(20);
      }
    } finally {
      client.close();
    }
  }

  async kill(command: CommandProcess): Promise<void> {
    await command.kill();
    this.#running.delete(command);
  }

  makeVersion(extraBytes?: readonly number[]): Promise<LargeVersion> {
    this.#made += 1;
    return makeLargeVersion(this.folder, this.#made, this.#random, extraBytes);
  }

  /** `maskterial publish` in a process of its own. */
  startPublish(version: LargeVersion, ...args: readonly string[]): CommandProcess {
    return this.startCommand('publish', version.folder, '--model', MODEL, ...args);
  }

  /** A command that speaks with the registry, in a process of its own. */
  startCommand(...command: readonly string[]): CommandProcess {
    const args = [...command, '--registry', this.link.address, '--timeout', String(HANG_MS / 1000), '--json'];
    const started = new CommandProcess(args, { env: {}, cwd: join(this.folder, 'elsewhere') });
    this.#running.add(started);
    return started;
  }

  /** Stages a version and sends all its files, so that to publish it is to finalize it. */
  async uploadAll({ folder, manifest, manifestBytes }: LargeVersion): Promise<void> {
    const registry = registryOverGrpc(this.stub);
    const files = await Promise.all(manifest.artifacts.map(({ path }) => readFile(join(folder, path))));
    const id = await stage(registry, MODEL, { manifest, manifestJson: manifestBytes, files });
    for (const bytes of files) {
      await upload(registry, id, bytes);
    }
  }

  /** Publishes without disturbance. */
  async publish(version: LargeVersion): Promise<Version> {
    const { code, err } = await this.startPublish(version).ended;
    assert.equal(code, 0, err);
    return this.versionOf(version);
  }

  /** The one version with this manifest. */
  async versionOf({ digest }: LargeVersion): Promise<Version> {
    const found: Version[] = [];
    for await (const version of this.client.listVersions(MODEL)) {
      if (version.manifest?.digest === digest) {
        found.push(version);
      }
    }
    const [version, ...others] = found;
    assert.ok(version !== undefined, `no version has the manifest ${digest}`);
    assert.deepEqual(others, []);
    return version;
  }

  /** What the registry's store lacks of a version, to be asked while no upload runs. */
  missingInRegistry({ manifest }: LargeVersion): Promise<Missing> {
    const signal = AbortSignal.timeout(HANG_MS);
    const { blobs } = this.#store;
    return missingOf(manifest.artifacts, async (artifact) =>
      (await blobs.stat(artifact.digest, signal)) === undefined
        ? blobs.verifiedChunks(artifact, signal)
        : new Set(artifact.chunks.keys()),
    );
  }

  /** Whether the registry's store holds a whole blob. */
  async holds({ digest, sizeBytes }: BlobRef): Promise<boolean> {
    return (await this.#store.blobs.stat(digest, AbortSignal.timeout(HANG_MS)))?.sizeBytes === sizeBytes;
  }

  /** A collection whose client is gone puts back what it set aside; until then it is under way, and would meet the next one. */
  async untilCollected(): Promise<void> {
    const signal = AbortSignal.timeout(HANG_MS);
    while ((await this.#store.blobs.listSetAside(signal)).length > 0) {
      await setTimeout(20, undefined, { signal });
    }
  }

  missingInCache({ manifest }: LargeVersion): Promise<Missing> {
    return missingInCache(this.modelPath, manifest);
  }

  /** Nothing that was verified travelled again. */
  assertNotMore(what: string, travelledBytes: number, missing: Missing): void {
    const most = missing.bytes + FRAMES_BYTES;
    assert.ok(travelledBytes <= most, `${what}: ${travelledBytes} bytes travelled, ${missing.bytes} were missing`);
  }

  /** A registry with nothing under way keeps nothing that is not a blob. */
  assertNoRegistryLeftovers(): Promise<void> {
    return this.#store.assertNoLeftovers();
  }

  /** Reads and hashes everything that the registry says it has, again. */
  async assertAllIsWhole(): Promise<void> {
    const reader = new ReleaseReader({ client: this.client, stub: this.stub, model: MODEL });
    try {
      await reader.caughtUp();
    } finally {
      await reader.stop();
    }
  }

  /** A cache with nothing under way has no partial, no unfinished document, nothing set aside. */
  async assertNoCacheLeftovers(): Promise<void> {
    const root = join(this.modelPath, 'v1');
    await untilEmpty(join(root, 'partial'), () => true);
    await untilEmpty(join(root, 'quarantine'), () => true);
    await untilEmpty(join(root, 'state'), (name) => name.endsWith('.tmp'));
    assert.equal((await namesIn(join(root, 'pins'))).length, 1, 'pins of the one server that lives');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.reader.stop();
    for (const command of this.#running) {
      await command.kill();
    }
    this.client.close();
    this.stub.close();
    await this.link[Symbol.asyncDispose]();
    await this.#store[Symbol.asyncDispose]();
    await rm(this.folder, { recursive: true, force: true });
  }
}
