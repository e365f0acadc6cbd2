import assert from 'node:assert/strict';
import { mkdtemp, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { createRegistryClient, type RegistryClient } from '../../clients/registry-client.ts';
import { NO_RETRY } from '../../clients/retry.ts';
import { ModelKind } from '../../proto/gen/maskterial/registry/v1/model.ts';
import { Hasher, refOf } from '../../proto/wire/digest.ts';
import { FolderBlobStore } from '../../registry/adapters/embedded/folder-blob-store.ts';
import { layoutOf } from '../../registry/adapters/embedded/layout.ts';
import { HANG_MS } from '../support/hang-limit.ts';
import { lastingPort } from '../support/lasting-port.ts';
import { never } from '../support/registry/publish.ts';
import { type SampleVersion, smallVersion } from '../support/registry/sample-version.ts';
import { type Service, startService } from '../support/soak/service-process.ts';
import { soakTest } from '../support/soak/soak.ts';

const KILLS = 50;
/** A collection may be over before its moment comes: so many rounds hit one for sure. */
const MOST_KILLS = 10 * KILLS;
const MODEL = 'm';
/** Versions that are garbage when a round begins; more than the registry takes out of sight at a time. */
const GARBAGE = 80;
/** Of a version, its manifest among them. */
const FILES = 3;
/** Of these, published again while they are collected. */
const NEEDED_AGAIN = 5;
const GRACE_SECONDS = 3600;
/** For as long as a registry that was killed takes to be back. */
const PATIENT = { attempts: Number.POSITIVE_INFINITY, firstDelayMs: 50, maxDelayMs: 500 };

soakTest(
  import.meta.url,
  'the registry killed at 50 random moments of a collection: no file that a version refers to is lost, and the rest goes',
  async (run) => {
    const random = run.random('killed collection');
    await using bench = await Bench.start();
    const ends = { killed: 0, ended: 0 };
    let kills = 0;
    let found = 0;
    for (; kills < run.portion(KILLS) || (found === 0 && kills < MOST_KILLS); kills += 1) {
      const garbage = await bench.makeGarbage(`round ${kills}`);
      let isOver = false;
      const collecting = bench.collect().then(
        () => {
          isOver = true;
          ends.ended += 1;
        },
        () => {
          isOver = true;
          ends.killed += 1;
        },
      );
      // What is garbage now is needed again while it is collected.
      const publishing = garbage.slice(0, NEEDED_AGAIN).map((sample) => bench.publish(sample));
      const moment = random.below(GARBAGE * FILES);
      while (!isOver && (await bench.countOutOfSight()) < moment) {
        await turn();
      }
      await bench.kill();
      found += await bench.countOutOfSight();
      await bench.startRegistry();
      await Promise.all([collecting, ...publishing]);
      await bench.assertWhole();
      await bench.collect();
      await bench.assertWhole();
      assert.equal(await bench.countOutOfSight(), 0);
      assert.deepEqual(await bench.stored(), await bench.referenced());
    }
    assert.ok(found > 0, `no collection of ${kills} was killed in the middle`);
    run.say(`${kills} kills, ${ends.ended} of them after the collection; ${found} files were out of sight then`);
  },
);

class Bench implements AsyncDisposable {
  readonly #folder: string;
  readonly #port: number;
  readonly #client: RegistryClient;
  readonly #blobs: FolderBlobStore;
  #registry: Service | undefined;

  private constructor(folder: string, port: number) {
    this.#folder = folder;
    this.#port = port;
    this.#client = createRegistryClient({ address: `127.0.0.1:${port}`, timeoutMs: HANG_MS, retry: PATIENT });
    this.#blobs = new FolderBlobStore(layoutOf(folder));
  }

  static async start(): Promise<Bench> {
    const bench = new Bench(await mkdtemp(join(tmpdir(), 'maskterial-soak-')), await lastingPort());
    try {
      await bench.startRegistry();
      await bench.#client.createModel({ name: MODEL, kind: ModelKind.MODEL_KIND_CLASSIFICATION });
      await bench.publish(smallVersion('kept'));
      return bench;
    } catch (error) {
      await bench[Symbol.asyncDispose]();
      throw error;
    }
  }

  async startRegistry(): Promise<void> {
    const env = { REGISTRY_PORT: String(this.#port), REGISTRY_DATA: this.#folder, LOG_LEVEL: 'warn' };
    this.#registry = await startService('registry', { env, cwd: this.#folder });
  }

  async kill(): Promise<void> {
    await this.#registry?.process.kill();
  }

  /** Versions that were published and deleted, with files that look old. */
  async makeGarbage(seed: string): Promise<SampleVersion[]> {
    const samples = Array.from({ length: GARBAGE }, (_, index) => smallVersion(`${seed} ${index}`));
    for (const sample of samples) {
      const { version } = await this.publish(sample);
      await this.#client.deleteVersion(MODEL, version.version);
    }
    const { blob } = layoutOf(this.#folder);
    for await (const { digest } of this.#blobs.list(never)) {
      await utimes(blob(digest), 0, 0);
    }
    return samples;
  }

  publish({ manifestJson, manifest, files }: SampleVersion) {
    const sources = manifest.artifacts.map(({ path }, index) => {
      const bytes = files[index] ?? Buffer.alloc(0);
      return {
        path,
        ref: refOf(bytes),
        async *read() {
          yield bytes;
        },
      };
    });
    return this.#client.publishVersion({ model: MODEL, manifestBytes: manifestJson, files: sources });
  }

  async collect(): Promise<void> {
    await this.#client.collectGarbage({ graceSeconds: GRACE_SECONDS, retry: NO_RETRY });
  }

  /** Every file of every version is there, byte by byte. */
  async assertWhole(): Promise<void> {
    for await (const { manifest, artifacts } of this.#client.listVersions(MODEL)) {
      for (const ref of [manifest, ...artifacts.map(({ blob }) => blob)]) {
        assert.ok(ref !== undefined);
        const hasher = new Hasher();
        for await (const bytes of this.#client.readBlob(ref)) {
          hasher.update(bytes);
        }
        assert.equal(hasher.finish().digest, ref.digest);
      }
    }
  }

  async countOutOfSight(): Promise<number> {
    return (await this.#blobs.listSetAside(never)).length;
  }

  async stored(): Promise<string[]> {
    const digests: string[] = [];
    for await (const { digest } of this.#blobs.list(never)) {
      digests.push(digest);
    }
    return digests.toSorted();
  }

  async referenced(): Promise<string[]> {
    const digests = new Set<string>();
    for await (const { manifest, artifacts } of this.#client.listVersions(MODEL)) {
      for (const ref of [manifest, ...artifacts.map(({ blob }) => blob)]) {
        digests.add(ref?.digest ?? '');
      }
    }
    return [...digests].toSorted();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    this.#client.close();
    await rm(this.#folder, { recursive: true, force: true });
  }
}
