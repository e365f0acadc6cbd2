import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openBundle } from '../../../clients/cli/open-publishable.ts';
import { createInferenceClient, type InferenceClient } from '../../../clients/inference-client.ts';
import { createRegistryClient, type RegistryClient } from '../../../clients/registry-client.ts';
import { KEPT_FREE_BYTES } from '../../../inference/engine/engine-environment.ts';
import { INFERENCE_SERVICE } from '../../../inference/main.ts';
import type { GetStatusResponse } from '../../../proto/gen/maskterial/inference/v1/inference_service.ts';
import { ModelKind, type Version } from '../../../proto/gen/maskterial/registry/v1/model.ts';
import { REGISTRY_SERVICE } from '../../../registry/main.ts';
import { HANG_MS } from '../hang-limit.ts';
import { healthClient, SERVING } from '../health-check.ts';
import { lastingPort } from '../lasting-port.ts';
import { makePicture, writeGmmBundle } from '../made-up.ts';
import { namesIn } from './held-chunks.ts';
import { type Service, startService } from './service-process.ts';

export const FUZZ_MODEL = 'CLS_GMM_Fuzz';

const PATCH = { x: 50, y: 60, width: 40, height: 30, contrast: -0.15 };
const MIB = 1024 * 1024;
/** What a heap may differ by from one moment to another, and what a process of this size may. */
const GROWTH_BYTES = 32 * MIB;
const GROWTH_SHARE = 0.15;
const LOOKS = 20;
const MOST_LOOKS = 400;

/** Resident bytes of each process, by what it is. */
export type Memory = Readonly<Record<string, number>>;

/** Both services as processes that have nothing but their own folders to write to, for feeding them what nobody should send. */
export class FuzzBench implements AsyncDisposable {
  readonly folder: string;
  readonly registry: Service;
  readonly inference: Service;
  readonly registryClient: RegistryClient;
  readonly inferenceClient: InferenceClient;
  readonly version: Version;
  readonly #picture: Buffer;
  readonly #large: Buffer;

  private constructor(
    folder: string,
    services: Pick<FuzzBench, 'registry' | 'inference' | 'registryClient' | 'inferenceClient' | 'version'>,
    [picture, large]: readonly [Buffer, Buffer],
  ) {
    this.folder = folder;
    this.registry = services.registry;
    this.inference = services.inference;
    this.registryClient = services.registryClient;
    this.inferenceClient = services.inferenceClient;
    this.version = services.version;
    this.#picture = picture;
    this.#large = large;
  }

  static async start(env: Readonly<Record<string, string>> = {}): Promise<FuzzBench> {
    const folder = await mkdtemp(join(tmpdir(), 'maskterial-fuzz-'));
    for (const name of ['empty', 'home', 'tmp']) {
      await mkdir(join(folder, name));
    }
    await writeFile(join(folder, 'canary'), 'alive');
    const shared = {
      HOME: join(folder, 'home'),
      TMPDIR: join(folder, 'tmp'),
      LOG_LEVEL: 'error',
      // A heap that is small beside what is sent in all: V8 would else put collections off, and a leak ends the process.
      NODE_OPTIONS: '--max-old-space-size=96 --max-semi-space-size=8',
      // glibc's own default, which it else raises as it goes: what is free is given back, and what is resident is held.
      MALLOC_TRIM_THRESHOLD_: '131072',
      ...env,
    };
    const options = (own: Readonly<Record<string, string>>) => ({ env: { ...shared, ...own }, cwd: join(folder, 'empty') });
    const started: Service[] = [];
    try {
      const registry = await startService(
        'registry',
        options({ REGISTRY_PORT: String(await lastingPort()), REGISTRY_DATA: join(folder, 'registry') }),
      );
      started.push(registry);
      const inference = await startService(
        'inference',
        options({
          INFERENCE_PORT: '0',
          MODEL_PATH: join(folder, 'models'),
          REGISTRY_ADDRESS: registry.address,
          ENGINES: '2',
          LOAD_TIMEOUT_MS: String(HANG_MS),
          ENGINE_RUN_LIMIT_MS: String(HANG_MS),
        }),
      );
      started.push(inference);
      const registryClient = createRegistryClient({ address: registry.address, timeoutMs: HANG_MS });
      const inferenceClient = createInferenceClient({ address: inference.address, timeoutMs: HANG_MS });
      const version = await publishOne(folder, registryClient);
      const services = { registry, inference, registryClient, inferenceClient, version };
      const pictures = [await makePicture([PATCH]), await makePicture([PATCH], { width: 3000, height: 2000 })] as const;
      const bench = new FuzzBench(folder, services, pictures);
      await bench.#untilServing();
      return bench;
    } catch (error) {
      // Nobody else knows of them: they would keep the test's file from ending.
      await Promise.all(started.map(({ process }) => process.kill()));
      throw error;
    }
  }

  /** Both services answer, health and a whole prediction, and no engine ended unasked. */
  async assertAlive(): Promise<void> {
    for (const [service, name] of [
      [this.registry, REGISTRY_SERVICE],
      [this.inference, INFERENCE_SERVICE],
    ] as const) {
      using health = healthClient(service.address);
      assert.ok(service.process.isRunning, `${name} ended: ${service.process.lastWords}`);
      assert.equal(await health.check(name), SERVING);
    }
    await this.#predict(this.#picture);
    for (const { pid, restarts } of await this.#engines()) {
      assert.equal(restarts, 0, `an engine ended before ${pid} took its place`);
    }
  }

  /**
   * The least that is resident while a few large images are predicted: V8 keeps buffers that nobody holds until others press, so
   * only the foot of that saw says what is held. Where that comes depends on V8's threads too: one looks on until it is `enough`, in
   * vain at something that is held.
   */
  async memory(isEnough: (least: Memory) => boolean = () => true): Promise<Memory> {
    const least: Record<string, number> = {};
    for (let round = 0; round < LOOKS || (round < MOST_LOOKS && !isEnough(least)); round += 1) {
      // Two at once meet both engines.
      await Promise.all([this.#predict(this.#large), this.#predict(this.#large)]);
      for (const [name, bytes] of await this.#resident()) {
        least[name] = Math.min(least[name] ?? bytes, bytes);
      }
    }
    return least;
  }

  /** Nothing lies where nothing belongs, and no log speaks of a defect. */
  async assertClean(): Promise<void> {
    for (const name of ['empty', 'home', 'tmp']) {
      assert.deepEqual(await namesIn(join(this.folder, name)), [], `written to ${name}`);
    }
    assert.deepEqual((await namesIn(this.folder)).toSorted(), ['bundle', 'canary', 'empty', 'home', 'models', 'registry', 'tmp']);
    assert.equal(await readFile(join(this.folder, 'canary'), 'utf8'), 'alive');
    for (const { process } of [this.registry, this.inference]) {
      assert.deepEqual(
        process.log.filter(({ code, level }) => code === 'INTERNAL' || (level === 50 && code === undefined)),
        [],
      );
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.registryClient.close();
    this.inferenceClient.close();
    await this.registry.process.kill();
    await this.inference.process.kill();
    await rm(this.folder, { recursive: true, force: true });
  }

  async #untilServing(): Promise<void> {
    for (;;) {
      const { aliases } = await this.inferenceClient.getStatus();
      if (aliases.some(({ servingVersion }) => servingVersion === this.version.version)) {
        return;
      }
    }
  }

  async #resident(): Promise<(readonly [string, number])[]> {
    return Promise.all([
      residentOf('registry', this.registry.process.pid),
      residentOf('inference', this.inference.process.pid),
      ...(await this.#engines()).map(({ pid }, index) => residentOf(`engine ${index}`, pid)),
    ]);
  }

  async #predict(picture: Buffer): Promise<void> {
    const { flakes } = await this.inferenceClient.predictFlakes(picture, { classification: FUZZ_MODEL });
    assert.deepEqual(
      flakes.map(({ areaPx }) => areaPx),
      [PATCH.width * PATCH.height],
    );
  }

  /** Those that serve; another generation may be on its way, or out, since what is sent may move an alias too. */
  async #engines(): Promise<GetStatusResponse['engines']> {
    const { engines } = await this.inferenceClient.getStatus();
    const newest = Math.max(...engines.map(({ generation }) => generation));
    return engines.filter(({ generation }) => generation === newest);
  }
}

/** What grew by more than noise from the first half of the same inputs to the second one, each said in words. */
export function growthOf(first: Memory, second: Memory): string[] {
  return Object.entries(first).flatMap(([name, before]) => {
    const after = second[name] ?? 0;
    // What an engine keeps of freed memory comes and goes within a stated bound.
    const kept = name.startsWith('engine') ? KEPT_FREE_BYTES : 0;
    const most = before + kept + Math.max(GROWTH_BYTES, before * GROWTH_SHARE);
    return after <= most ? [] : [`${name} grew from ${toMib(before)} to ${toMib(after)} MiB`];
  });
}

export function describeMemory(memory: Memory): string {
  return Object.entries(memory)
    .map(([name, bytes]) => `${name} ${toMib(bytes)} MiB`)
    .join(', ');
}

function toMib(bytes: number): number {
  return Math.round(bytes / MIB);
}

/** 0 where there is no /proc. */
async function residentOf(name: string, pid: number): Promise<[string, number]> {
  const text = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return [name, Number(/^VmRSS:\s*(\d+)/m.exec(text)?.[1] ?? 0) * 1024];
}

async function publishOne(folder: string, registry: RegistryClient): Promise<Version> {
  const bundle = await openBundle(await writeGmmBundle(join(folder, 'bundle'), { 1: -0.15 }), AbortSignal.timeout(HANG_MS));
  await registry.createModel({ name: FUZZ_MODEL, kind: ModelKind.MODEL_KIND_CLASSIFICATION });
  const { version } = await registry.publishVersion({ model: FUZZ_MODEL, ...bundle });
  await bundle.close();
  await registry.promote(FUZZ_MODEL, version.version, 'production');
  return version;
}
