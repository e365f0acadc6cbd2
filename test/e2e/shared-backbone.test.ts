import assert from 'node:assert/strict';
import { lstat, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { openPublishable } from '../../clients/cli/open-publishable.ts';
import { createRegistryClient, type RegistryClient } from '../../clients/registry-client.ts';
import { CacheLayout } from '../../inference/cache/layout.ts';
import { ModelKind } from '../../proto/gen/maskterial/registry/v1/model.ts';
import type { BlobRef } from '../../proto/wire/digest.ts';
import { writeFiles } from '../support/bundle-files.ts';
import { lastingPort } from '../support/lasting-port.ts';
import { m2fFiles, randomM2f, TINY } from '../support/m2f/random-model.ts';
import { MeteredLink } from '../support/metered-link.ts';
import { startService } from '../support/soak/service-process.ts';

/** A backbone of megabytes and a head of kilobytes, as far as their sizes go. */
const SHAPE = { ...TINY, stem: 16, width: 8, outputs: 32 };
const NAMES = ['SEG_M2F_First', 'SEG_M2F_Second'] as const;
/** What frames, the watch, reports and answers without files add to a fetch. */
const TALK_BYTES = 100_000;
const MEANS_TO_HIDE = { skip: process.platform === 'linux' ? false : 'a path that the registry alone can follow needs /proc' };

interface Sent {
  readonly uploadedBytes: number;
  readonly manifestBytes: number;
  /** As the manifest lists them: the graph, the backbone's weights, the head's, the check. */
  readonly files: readonly BlobRef[];
}

test(
  'of two Mask2Former models tuned from the same backbone the second sends, and is fetched by, only the rest',
  MEANS_TO_HIDE,
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'maskterial-shared-'));
    t.after(() => rm(folder, { recursive: true, force: true }));
    await mkdir(join(folder, 'elsewhere'));
    const port = await lastingPort();
    // A path that only the registry can follow, as one of another machine: the inference server has all bytes from the link.
    const registry = await startService('registry', {
      env: { REGISTRY_DATA: '/proc/self/cwd/registry', REGISTRY_PORT: String(port), LOG_LEVEL: 'warn' },
      cwd: folder,
    });
    t.after(() => registry.process.kill());
    const client = createRegistryClient({ address: registry.address, timeoutMs: 180_000 });
    t.after(() => client.close());
    const [first, second] = await publishBoth(client, folder);
    const shared = second.files[1] ?? assert.fail('no backbone');
    assert.deepEqual(first.files[1], shared);
    assert.equal(first.uploadedBytes, totalBytes(first));
    assert.equal(second.uploadedBytes, totalBytes(second) - shared.sizeBytes);
    assert.ok(shared.sizeBytes > 10 * TALK_BYTES, `the backbone has only ${shared.sizeBytes} bytes`);

    await using link = await MeteredLink.open(port);
    const modelPath = join(folder, 'models');
    const inference = await startService('inference', {
      env: {
        INFERENCE_PORT: '0',
        MODEL_PATH: modelPath,
        REGISTRY_ADDRESS: link.address,
        ENGINES: '1',
        HEAVY_WARM_UP_PIXELS: '10000',
        LOG_LEVEL: 'info',
      },
      cwd: join(folder, 'elsewhere'),
    });
    t.after(() => inference.process.kill());
    const fetchedBytes = async (name: string): Promise<number> => {
      const [before, from] = [link.downBytes, inference.process.log.length];
      await client.promote(name, 1, 'production');
      await inference.process.untilLogged(({ msg }) => msg === 'new generation serves', `a load of ${name}`, from);
      return link.downBytes - before;
    };

    const whole = await fetchedBytes(NAMES[0]);
    const expected = totalBytes(first) + first.manifestBytes;
    assert.ok(whole >= expected && whole < expected + TALK_BYTES, `${whole} bytes came for a model of ${expected}`);
    const path = new CacheLayout(modelPath).blob(shared.digest);
    const held = await lstat(path);
    const rest = await fetchedBytes(NAMES[1]);
    const expectedRest = totalBytes(second) - shared.sizeBytes + second.manifestBytes;
    assert.ok(rest >= expectedRest && rest < expectedRest + TALK_BYTES, `${rest} bytes came for the other ${expectedRest}`);
    const { ino, mtimeMs } = await lstat(path);
    assert.deepEqual([ino, Math.round(mtimeMs)], [held.ino, Math.round(held.mtimeMs)]);
  },
);

async function publishBoth(registry: RegistryClient, folder: string): Promise<[Sent, Sent]> {
  const start = randomM2f(SHAPE);
  const tuned = {
    ...start,
    tensors: start.tensors.map((tensor) =>
      tensor.name.startsWith('backbone.') ? tensor : { ...tensor, values: () => tensor.values().map((value) => value * 1.01) },
    ),
  };
  const publish = async (name: string, model: typeof start): Promise<Sent> => {
    const bundle = join(folder, name);
    writeFiles(bundle, m2fFiles(model, { optimizerOf: 'sem_seg_head' }));
    const publishable = await openPublishable(bundle, new AbortController().signal);
    await registry.ensureModel({ name, kind: ModelKind.MODEL_KIND_SEGMENTATION });
    const { manifestBytes, files } = publishable;
    const { uploadedBytes, version } = await registry.publishVersion({ model: name, manifestBytes, files });
    assert.equal(version.version, 1);
    await publishable.close();
    return { uploadedBytes, manifestBytes: manifestBytes.byteLength, files: files.map(({ ref }) => ref) };
  };
  return [await publish(NAMES[0], start), await publish(NAMES[1], tuned)];
}

function totalBytes({ files }: Sent): number {
  return files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}
