import type { TestContext } from 'node:test';
import type { ArtifactCache } from '../../inference/cache/artifact-cache.ts';
import type { RolloutEvent } from '../../inference/rollout/events.ts';
import type { LastKnown } from '../../inference/rollout/last-known.ts';
import type { DesiredAlias } from '../../inference/rollout/model-source.ts';
import { Rollout, type RolloutSettings } from '../../inference/rollout/rollout.ts';
import { checkSupported } from '../../inference/engine/supported.ts';
import { type Digest, refOf } from '../../proto/wire/digest.ts';
import { encodeManifest, type Manifest, parseManifest } from '../../proto/wire/manifest.ts';
import { type AliasName, type ModelName, type ModelReference, parseModelReference } from '../../proto/wire/names.ts';
import { cacheFolder } from './cache-folder.ts';
import { blobOf } from './fake-blob-source.ts';
import { FakeLoader, type FakeSet } from './fake-loader.ts';
import { FakeModelSource } from './fake-model-source.ts';
import type { ServableId, VersionKey } from '../../inference/rollout/servable.ts';

/** A made-up version with the bytes behind it. */
export interface MadeVersion {
  readonly key: VersionKey;
  readonly id: ServableId;
  readonly manifest: Manifest;
  readonly manifestBytes: Uint8Array;
  readonly graph: Uint8Array;
  readonly graphDigest: Digest;
}

export const asModel = (name: string): ModelName => name as ModelName;
export const asAlias = (name: string): AliasName => name as AliasName;

/** A version whose one artifact's bytes are those of `content`. */
export function makeVersion(
  model: string,
  version: number,
  content = `graph of ${model}:${version}`,
  contract: Manifest['contract'] = 'pixel-classifier.v1',
): MadeVersion {
  const graph = Buffer.from(content);
  const manifest: Manifest = {
    schemaVersion: 1,
    kind: 'classification',
    family: 'GMM',
    contract,
    graph: {
      path: 'model.onnx',
      inputs: [{ name: 'contrast', type: 'float32', shape: ['N', 3] }],
      outputs: [{ name: 'class', type: 'uint8', shape: ['N'] }],
    },
    classes: [{ index: 1, name: '1 layer' }],
    artifacts: [
      {
        path: 'model.onnx',
        role: 'serving',
        mediaType: 'application/vnd.onnx',
        ...blobOf(graph),
        chunks: [...blobOf(graph).chunks],
      },
    ],
    lineage: { sourceFiles: [], metrics: {}, converter: `for ${model}:${version}` },
  };
  const manifestBytes = encodeManifest(manifest);
  const key = { model: asModel(model), version, manifest: refOf(manifestBytes) };
  return {
    key,
    id: `${model}:${version}@${key.manifest.digest}` as ServableId,
    manifest: parseManifest(manifestBytes),
    manifestBytes,
    graph,
    graphDigest: refOf(graph).digest,
  };
}

export function pointing({ key }: MadeVersion, alias = 'production', revision = key.version): DesiredAlias {
  return { model: key.model, alias: asAlias(alias), version: key.version, revision, manifest: key.manifest };
}

export const ref = (text: string): ModelReference => parseModelReference(text, 'model');

/** A bench on a cache folder of its own, closed when the test ends. */
export async function rolloutBench(t: TestContext, settings: Partial<RolloutSettings> = {}): Promise<RolloutBench> {
  const folder = await cacheFolder(t);
  const bench = new RolloutBench(await folder.open(), settings);
  // Before the cache closes: hooks run in the order they were set.
  t.after(() => bench.close());
  return bench;
}

/** A rollout on a real cache folder, its source, engines and clock in the test's hand. */
export class RolloutBench {
  readonly source = new FakeModelSource();
  readonly loader = new FakeLoader();
  readonly events: RolloutEvent[] = [];
  readonly rollout: Rollout<FakeSet>;
  nowMs = 1_000_000;
  remembered: LastKnown | undefined;
  remembering: Promise<void> = Promise.resolve();

  constructor(cache: ArtifactCache, settings: Partial<RolloutSettings> = {}, remembered?: LastKnown) {
    this.remembered = remembered;
    this.rollout = new Rollout(
      {
        source: this.source,
        cache,
        loader: this.loader,
        checkSupported,
        lastKnown: {
          read: async () => this.remembered,
          write: async (state) => {
            await this.remembering;
            this.remembered = state;
          },
        },
        nowMs: () => this.nowMs,
        onEvent: (event) => this.events.push(event),
      },
      { models: ['*'], aliases: ['production', 'canary'], maxOnDemand: 2, ...settings },
    );
  }

  /** Begins with this snapshot and waits until the aliases serve or failed. */
  async startWith(...aliases: DesiredAlias[]): Promise<void> {
    await this.rollout.start();
    this.source.snapshot(...aliases);
    await this.settled();
  }

  settled(): Promise<void> {
    return this.rollout.settled(new AbortController().signal);
  }

  /** A lease that a request would get, without a signal of its own. */
  acquire(text: string, signal = new AbortController().signal) {
    return this.rollout.acquire(ref(text), () => undefined, signal);
  }

  /** Which version answers a request now. */
  async versionOf(text: string): Promise<number> {
    using use = await this.acquire(text);
    return use.key.version;
  }

  stateOf({ id }: MadeVersion): string | undefined {
    return this.rollout.status().versions.find((version) => version.id === id)?.state;
  }

  reasonOf({ id }: MadeVersion): string | undefined {
    return this.rollout.status().versions.find((version) => version.id === id)?.error?.reason;
  }

  /** Lets time pass and the loop look at the clock. */
  pass(ms: number): void {
    this.nowMs += ms;
    this.source.alive();
  }

  async close(): Promise<void> {
    await this.rollout.close();
  }
}
