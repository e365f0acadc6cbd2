import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Engine } from '../../../inference/engine/engine.ts';
import { boundWithin, weigh } from '../../../inference/engine/heavy-model.ts';
import { checkSupported } from '../../../inference/engine/supported.ts';
import type { DecodedImage } from '../../../inference/predict/decoder.ts';
import type { ServableSpec } from '../../../inference/rollout/servable.ts';
import { refOf } from '../../../proto/wire/digest.ts';
import { checkArtifacts } from '../../../proto/wire/golden-check.ts';
import { m2fServable } from '../../support/m2f/m2f-servable.ts';
import { type NaiveFlake, naiveFlakes } from '../../support/m2f/naive-flakes.ts';
import { randomImage, randomM2f, TINY } from '../../support/m2f/random-model.ts';
import { makeVersion } from '../../support/made-version.ts';
import { isError } from '../../support/service-errors.ts';
import { tinyServable } from '../../support/tiny-classifier.ts';

const folder = await mkdtemp(join(tmpdir(), 'segmenter-test-'));
after(() => rm(folder, { recursive: true, force: true }));

const never = new AbortController().signal;
const THRESHOLDS = { scoreThreshold: 0.2, minClassOccupancy: 0, sizeThreshold: 10 };
const settings = { thresholds: THRESHOLDS, includeReference: false, classNames: new Map<number, string>() };
const model = randomM2f(TINY, 5);
const image = randomImage(50, 77);

/** The same pixels in the order that decoders give them. */
function asDecoded(): DecodedImage {
  const rgb = image.data.slice();
  for (let at = 0; at < rgb.length; at += 3) {
    rgb.set([image.data[at + 2] ?? 0, image.data[at + 1] ?? 0, image.data[at] ?? 0], at);
  }
  return { width: image.width, height: image.height, rgb };
}

function newEngine(): Engine {
  return new Engine({ decoder: { decode: async () => asDecoded() } }, { threads: 1, warmUpPixels: 2000 });
}

const run = (engine: Engine, { id }: ServableSpec, classification?: ServableSpec) =>
  engine.predict(
    new Uint8Array(),
    {
      models: { segmentation: id, classification: classification?.id },
      ...(classification !== undefined && { borrowed: [classification] }),
    },
    settings,
    () => undefined,
    never,
  );

test('a model with weights beside its graph is loaded from verified bytes and gives what the formulas give', async () => {
  const servable = await m2fServable(folder, 'S:1', model);
  const engine = newEngine();
  assert.deepEqual(await engine.load([servable]), []);
  const { flakes, background } = await run(engine, servable);
  const expected: NaiveFlake[] = await naiveFlakes(model, image, THRESHOLDS);
  assert.ok(expected.length > 2);
  assert.equal(background, undefined);
  assert.deepEqual(
    flakes.map(({ score, areaPx }) => [score.toFixed(3), areaPx]),
    expected.map(({ score, mask }) => [score.toFixed(3), mask.reduce((sum, pixel) => sum + pixel, 0)]),
  );
});

test('weights that are not the digest they are named by are reported with it, and nothing is loaded', async () => {
  const servable = await m2fServable(folder, 'S:2', randomM2f(TINY, 6));
  const [, , head] = servable.manifest.artifacts;
  const path = (head && servable.paths[head.digest]) ?? assert.fail('no weights');
  const bytes = await readFile(path);
  bytes[100] = (bytes[100] ?? 0) ^ 1;
  await writeFile(path, bytes);
  const engine = newEngine();
  const failures = await engine.load([servable]);
  assert.deepEqual(
    failures.map(({ error, corrupt }) => [error.kind, error.reason, corrupt]),
    [['data-loss', 'DIGEST_MISMATCH', head?.digest]],
  );
  await assert.rejects(run(engine, servable), Error);
});

test('a model with one weight that is not the one it was imported with is refused by its check', async () => {
  const servable = await m2fServable(folder, 'S:6', model);
  const { manifest, paths } = servable;
  const artifact = manifest.artifacts[2] ?? assert.fail('no weights');
  const bytes = await readFile(paths[artifact.digest] ?? '');
  bytes.writeFloatLE(bytes.readFloatLE(0) + 1, 0);
  const ref = refOf(bytes);
  const path = join(folder, 'another-weight');
  await writeFile(path, bytes);
  const artifacts = manifest.artifacts.map((each) => (each === artifact ? { ...each, ...ref } : each));
  const altered = { ...servable, manifest: { ...manifest, artifacts }, paths: { ...paths, [ref.digest]: path } };
  const [failure] = await newEngine().load([altered]);
  assert.deepEqual([failure?.error.kind, failure?.error.reason], ['failed-precondition', 'GOLDEN_CHECK_FAILED']);
  assert.match(failure?.error.message ?? '', /^S:6: "image": golden check: output (class|mask)_logits: \d+ of \d+ elements/);
});

test('weights that a graph does not know fail its load', async () => {
  const servable = await m2fServable(folder, 'S:3', model);
  const artifacts = servable.manifest.artifacts.filter((_, index) => index !== 2);
  const [failure] = await newEngine().load([{ ...servable, manifest: { ...servable.manifest, artifacts } }]);
  assert.equal(failure?.error.reason, 'LOAD_FAILED');
});

test('a model whose numbers overflow fails its load: it would seem to see nothing in any image', async () => {
  const tensors = model.tensors.map((tensor) =>
    tensor.name.endsWith('stem.conv1.weight')
      ? { ...tensor, values: () => tensor.values().map((value) => value * 1e38) }
      : tensor,
  );
  const servable = await m2fServable(folder, 'S:6', { ...model, tensors });
  // Without a golden check, which such a model fails first.
  const checks = new Set(checkArtifacts(servable.manifest));
  const artifacts = servable.manifest.artifacts.filter((artifact) => !checks.has(artifact));
  const [failure] = await newEngine().load([{ ...servable, manifest: { ...servable.manifest, artifacts } }]);
  assert.equal(failure?.error.reason, 'LOAD_FAILED');
  assert.match(failure.error.message, /not finite/);
});

test('a classifier is borrowed for a vote; of many the least recently used is given back and loaded again', async () => {
  const servable = await m2fServable(folder, 'S:4', model);
  const engine = newEngine();
  await engine.load([servable]);
  const classifiers = [];
  for (let index = 0; index < 9; index += 1) {
    classifiers.push(await tinyServable(folder, `C:${index}`));
  }
  for (const classifier of classifiers) {
    const { background } = await run(engine, servable, classifier);
    assert.notEqual(background, undefined);
  }
  // Gone from the disk, they still answer where they are held.
  await Promise.all(classifiers.map(({ paths }) => rm(Object.values(paths)[0] ?? '')));
  await run(engine, servable, classifiers[8]);
  await run(engine, servable, classifiers[1]);
  await assert.rejects(run(engine, servable, classifiers[0]), isError('failed-precondition', 'LOAD_FAILED'));
});

test('a borrowed classifier whose file went bad is not ready, and the next one is borrowed all the same', async () => {
  const servable = await m2fServable(folder, 'S:5', model);
  const engine = newEngine();
  await engine.load([servable]);
  const bad = await tinyServable(folder, 'bad');
  await writeFile(Object.values(bad.paths)[0] ?? '', 'other bytes');
  await assert.rejects(run(engine, servable, bad), isError('unavailable', 'MODEL_NOT_READY'));
  assert.notEqual((await run(engine, servable, await tinyServable(folder, 'sound'))).background, undefined);
});

test('what a model takes bounds what an image may have', () => {
  const memory = { baseBytes: 1000, bytesPerPixel: 10 };
  const contract = 'mask2former-segmenter.v1' as const;
  const artifacts = makeVersion('S', 1).manifest.artifacts;
  assert.deepEqual(boundWithin({ artifacts, memory }, 150_021_000), { maxPixels: 2000, sideMultiple: 32 });
  assert.deepEqual(boundWithin({ artifacts, memory: { ...memory, sideMultiple: 64 } }, 500), { maxPixels: 0, sideMultiple: 64 });
  assert.equal(boundWithin({ artifacts, memory: { baseBytes: 1000, bytesPerPixel: 0 } }, 500), undefined);
  assert.equal(weigh({ contract, artifacts, memory }), 150_000_000 + 1000 + 10 * 1216 * 1920);
  assert.equal(weigh({ contract, artifacts, memory: { ...memory, sideMultiple: 128 } }), 150_000_000 + 1000 + 10 * 1280 * 1920);
  assert.equal(weigh({ contract: 'pixel-classifier.v1', artifacts, memory }), 0);
});

test('a model whose manifest says nothing of memory is counted by its files, and bounds images', () => {
  const [artifact = assert.fail()] = makeVersion('S', 1).manifest.artifacts;
  const contract = 'mask2former-segmenter.v1' as const;
  const published = {
    contract,
    artifacts: [
      { ...artifact, sizeBytes: 1_000_000 },
      { ...artifact, sizeBytes: 177_000_000 },
    ],
  };
  const counted = weigh(published);
  assert.ok(counted > 10 * 178e6 && counted < 11.5 * 178e6, `${counted}`);
  // Sources are not loaded.
  const source = { ...artifact, role: 'source' as const, sizeBytes: 340_000_000 };
  assert.equal(weigh({ ...published, artifacts: [...published.artifacts, source] }), counted);
  assert.throws(
    () => checkSupported({ ...makeVersion('S', 1, 'x', contract).manifest, ...published }, 'S:1', 1.5e9),
    isError('failed-precondition', 'INSUFFICIENT_MEMORY'),
  );
  assert.equal(boundWithin(published, counted)?.maxPixels, 1216 * 1920);
  assert.equal(weigh({ ...published, contract: 'pixel-classifier.v1' }), 0);
});
