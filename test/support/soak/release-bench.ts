import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { credentials } from '@grpc/grpc-js';
import { createInferenceClient } from '../../../clients/inference-client.ts';
import { DEFAULT_RETRY } from '../../../clients/retry.ts';
import { createRegistryClient, type RegistryClient } from '../../../clients/registry-client.ts';
import { ModelKind, type Version } from '../../../proto/gen/maskterial/registry/v1/model.ts';
import { RegistryServiceClient } from '../../../proto/gen/maskterial/registry/v1/registry_service.ts';
import { FolderBlobStore } from '../../../registry/adapters/embedded/folder-blob-store.ts';
import { layoutOf } from '../../../registry/adapters/embedded/layout.ts';
import { lastingPort } from '../lasting-port.ts';
import { type Missing, missingInCache, missingOf, namesIn } from './held-chunks.ts';
import { type LargeVersion, makeLargeVersion } from './large-version.ts';
import { MeteredLink } from './metered-link.ts';
import { ReleaseReader } from './release-reader.ts';
import type { SeededRandom } from './seeded-random.ts';
import { CommandProcess, type Service, startService } from './service-process.ts';

export const MODEL = 'CLS_GMM_Soak';

/** What a lasting client sees of a registry that was killed for a while, on a busy machine, is for other tests. */
const PATIENT = { ...DEFAULT_RETRY, attempts: 9 };
const TIMEOUT_MS = 60_000;
/** What frames, other calls' messages and the watch add to the bytes of chunks. */
const FRAMES_BYTES = 1024 * 1024;

/**
 * Registry and inference server as processes on one folder, each to be killed and started again. Clients other than this bench's
 * own reach the registry through a meter. On Linux the registry names its files by a path that only it can follow, as one in
 * another container does: so bytes travel.
 */
export class ReleaseBench implements AsyncDisposable {
  readonly folder: string;
  readonly link: MeteredLink;
  readonly client: RegistryClient;
  readonly stub: RegistryServiceClient;
  readonly reader: ReleaseReader;
  readonly #port: number;
  readonly #random: SeededRandom;
  readonly #running = new Set<CommandProcess>();
  #registry: Service | undefined;
  #made = 0;

  private constructor(folder: string, port: number, link: MeteredLink, random: SeededRandom) {
    this.folder = folder;
    this.#port = port;
    this.link = link;
    this.#random = random;
    const address = `127.0.0.1:${port}`;
    this.client = createRegistryClient({ address, timeoutMs: TIMEOUT_MS, retry: PATIENT });
    this.stub = new RegistryServiceClient(address, credentials.createInsecure(), {
      'grpc.initial_reconnect_backoff_ms': 50,
      'grpc.max_reconnect_backoff_ms': 200,
    });
    this.reader = new ReleaseReader({ client: this.client, stub: this.stub, model: MODEL });
  }

  static async start(random: SeededRandom): Promise<ReleaseBench> {
    const folder = await mkdtemp(join(tmpdir(), 'maskterial-soak-'));
    await mkdir(join(folder, 'elsewhere'));
    const port = await lastingPort();
    const bench = new ReleaseBench(folder, port, await MeteredLink.open(port), random);
    await bench.startRegistry();
    await bench.client.createModel({ name: MODEL, kind: ModelKind.MODEL_KIND_CLASSIFICATION });
    return bench;
  }

  get registry(): Service {
    assert.ok(this.#registry !== undefined, 'the registry is not running');
    return this.#registry;
  }

  get dataFolder(): string {
    return join(this.folder, 'registry');
  }

  get modelPath(): string {
    return join(this.folder, 'models');
  }

  async startRegistry(): Promise<void> {
    const data = process.platform === 'linux' ? '/proc/self/cwd/registry' : this.dataFolder;
    const env = { REGISTRY_PORT: String(this.#port), REGISTRY_DATA: data, LOG_LEVEL: 'warn' };
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
      LOG_LEVEL: 'info',
    };
    const service = await startService('inference', { env, cwd: join(this.folder, 'elsewhere') });
    this.#running.add(service.process);
    return service;
  }

  /** Asks until production is served as this version. */
  async untilServing({ address }: Service, version: LargeVersion): Promise<void> {
    const { version: number } = await this.versionOf(version);
    const client = createInferenceClient({ address, timeoutMs: TIMEOUT_MS });
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

  makeVersion(): Promise<LargeVersion> {
    this.#made += 1;
    return makeLargeVersion(this.folder, this.#made, this.#random);
  }

  /** `maskterial publish` in a process of its own. */
  startPublish(version: LargeVersion, ...args: readonly string[]): CommandProcess {
    const command = ['publish', version.folder, '--model', MODEL, '--registry', this.link.address, '--json', ...args];
    const started = new CommandProcess(command, { env: {}, cwd: join(this.folder, 'elsewhere') });
    this.#running.add(started);
    return started;
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

  /** What the registry's files lack of a version, to be asked while no upload runs. */
  missingInRegistry({ manifest }: LargeVersion): Promise<Missing> {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const blobs = new FolderBlobStore(layoutOf(this.dataFolder));
    return missingOf(manifest.artifacts, async (artifact) =>
      (await blobs.stat(artifact.digest, signal)) === undefined
        ? blobs.verifiedChunks(artifact, signal)
        : new Set(artifact.chunks.keys()),
    );
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
  async assertNoRegistryLeftovers(): Promise<void> {
    await this.#untilEmpty(join(this.dataFolder, 'partials'), () => true);
    await this.#untilEmpty(
      this.dataFolder,
      (name) => !/^(?:blobs|partials|format\.json|catalog\.sqlite(?:-wal|-shm)?)$/.test(name),
    );
  }

  /** A cache with nothing under way has no partial, no unfinished document, nothing set aside. */
  async assertNoCacheLeftovers(): Promise<void> {
    const root = join(this.modelPath, 'v1');
    await this.#untilEmpty(join(root, 'partial'), () => true);
    await this.#untilEmpty(join(root, 'quarantine'), () => true);
    await this.#untilEmpty(join(root, 'state'), (name) => name.endsWith('.tmp'));
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
    await rm(this.folder, { recursive: true, force: true });
  }

  /** An upload that was cut is closed a moment after its client is gone. */
  async #untilEmpty(folder: string, isLeftover: (name: string) => boolean): Promise<void> {
    const deadline = Date.now() + TIMEOUT_MS / 10;
    for (;;) {
      const left = (await namesIn(folder)).filter(isLeftover);
      if (left.length === 0) {
        return;
      }
      assert.ok(Date.now() < deadline, `left in ${folder}: ${left.join(', ')}`);
      await setTimeout(20);
    }
  }
}
