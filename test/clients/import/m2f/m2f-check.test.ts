import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type ImportedBundle, importBundle } from '../../../../clients/import/import-bundle.ts';
import { CHECK_LIMITS } from '../../../../clients/import/m2f/check-size.ts';
import { m2fCheck } from '../../../../clients/import/m2f/m2f-check.ts';
import { parseM2fSettings } from '../../../../clients/import/m2f/settings.ts';
import { openFolderSource } from '../../../../clients/import/sources/folder-source.ts';
import { digestOf } from '../../../../proto/wire/digest.ts';
import { CHECK_MEDIA_TYPE, encodeCheck, type GoldenCheck, MAX_CHECK_BYTES } from '../../../../proto/wire/golden-check.ts';
import { rejectsBundle } from '../../../support/bundle-errors.ts';
import { MemorySource } from '../../../support/bundle-memory-source.ts';
import type { LazyTensor } from '../../../support/m2f/checkpoint.ts';
import { lookupIn, type M2fModel, m2fFiles, randomM2f, TINY } from '../../../support/m2f/random-model.ts';
import type { M2fShape } from '../../../support/m2f/shape.ts';
import { needsReferenceData, referencePath } from '../../../support/reference-data.ts';
import { checkOf, runCheckOf } from '../../../support/run-check.ts';
import { isError } from '../../../support/service-errors.ts';

const { signal } = new AbortController();
const isRefused = isError('failed-precondition', 'GOLDEN_CHECK_FAILED');
const importModel = (model: M2fModel): Promise<ImportedBundle> => importBundle(new MemorySource(m2fFiles(model)), { signal });
const checkOfModel = (model: M2fModel, until = signal, limits = CHECK_LIMITS): Promise<GoldenCheck | undefined> =>
  m2fCheck(parseM2fSettings(Buffer.from(model.config), 'config.yaml'), { file: '', tensor: lookupIn(model) }, until, limits);

/** The model with other values in the tensors whose names end so. */
const withValues = (model: M2fModel, end: string, change: (value: number) => number): M2fModel => ({
  ...model,
  tensors: model.tensors.map(
    (tensor): LazyTensor => (tensor.name.endsWith(end) ? { ...tensor, values: () => tensor.values().map(change) } : tensor),
  ),
});

describe('the golden check of a Mask2Former model', () => {
  const shapes: Readonly<Record<string, Partial<M2fShape>>> = {
    'as it is published, but small': {},
    'grouped convolutions, another width in the mask decoder': {
      groups: 2,
      isStrideIn1x1: true,
      hidden: 48,
      convs: 64,
      heads: 8,
    },
    'padding to multiples of 64': { divisibility: 64 },
    'padding to multiples of 96': { divisibility: 96 },
    'many queries, other colours': { queries: 40, decoderLayers: 7, mean: [10, 250, 128], std: [1, 58, 57] },
  };
  for (const [name, change] of Object.entries(shapes)) {
    it(`is met by the import's own graph and by no other: ${name}`, async () => {
      const bundle = await importModel(randomM2f({ ...TINY, ...change }, 1));
      await runCheckOf(bundle);
      const other = await importModel(randomM2f({ ...TINY, ...change }, 2));
      await assert.rejects(runCheckOf(other, await checkOf(bundle)), isRefused);
    });
  }

  it('names both outputs, all of their elements close, for an image that is padded', async () => {
    const check = await checkOfModel(randomM2f(TINY));
    const [{ inputs, outputs } = assert.fail()] = check?.cases ?? [];
    assert.deepEqual(
      inputs.map(({ name, shape }) => [name, shape]),
      [['image', [25, 61, 3]]],
    );
    assert.deepEqual(
      outputs.map(({ name, shape, outliers }) => [name, shape, outliers]),
      [
        ['class_logits', [7, 2], 0],
        ['mask_logits', [7, 8, 16], 0],
      ],
    );
    assert.ok(outputs.every(({ absolute, relative }) => absolute < 1e-2 && relative === 0));
    assert.ok(encodeCheck(check ?? assert.fail()).byteLength < MAX_CHECK_BYTES / 100);
  });

  it('notices a norm that is off by a hundredth, and a bias', async () => {
    const check = await checkOfModel(randomM2f(TINY));
    for (const [end, change] of [
      ['res4.2.conv3.norm.weight', (value: number) => value * 1.01],
      ['encoder.layers.1.norm2.weight', (value: number) => value * 1.01],
      ['class_embed.bias', (value: number) => value + 0.01],
    ] as const) {
      await assert.rejects(runCheckOf(await importModel(withValues(randomM2f(TINY), end, change)), check), isRefused, end);
    }
  });

  it('on one cell of the padding, where two cost too much, still judges', async () => {
    const wide = { ...TINY, divisibility: 64 };
    const limits = { ...CHECK_LIMITS, work: 5e7 };
    const [check, other] = await Promise.all([1, 2].map((seed) => checkOfModel(randomM2f(wide, seed), signal, limits)));
    assert.deepEqual(check?.cases[0]?.inputs[0]?.shape, [57, 61, 3]);
    const bundle = await importModel(randomM2f(wide, 1));
    await runCheckOf(bundle, check);
    await assert.rejects(runCheckOf(bundle, other), isRefused);
    const norm = withValues(randomM2f(wide, 1), 'encoder.layers.1.norm2.weight', (value) => value * 1.01);
    await assert.rejects(runCheckOf(await importModel(norm), check), isRefused);
  });

  it('refuses a model that one costs too much for, and reads no tensor for it', async () => {
    const checkpoint = { file: 'model_final.pth', tensor: () => assert.fail('a tensor was read') };
    const settings = parseM2fSettings(Buffer.from(randomM2f({ ...TINY, divisibility: 4096 }).config), 'config.yaml');
    await rejectsBundle(m2fCheck(settings, checkpoint, signal), 'model_final.pth', 'UNSUPPORTED_MODEL');
  });

  it('lets queries differ whose masks may as well be of the other sign', async () => {
    const flat = withValues(randomM2f(TINY), 'mask_embed.layers.2.weight', () => 0);
    const check = await checkOfModel(withValues(flat, 'mask_embed.layers.2.bias', () => 0));
    assert.deepEqual(
      check?.cases[0]?.outputs.map(({ outliers }) => outliers),
      [14, 7 * 8 * 16],
    );
  });

  it('allows more where logits are larger', async () => {
    const large = withValues(randomM2f(TINY), 'class_embed.bias', (value) => value + 1000);
    const [classes, masks] = (await checkOfModel(large))?.cases[0]?.outputs ?? [];
    assert.ok((classes?.absolute ?? 0) > 0.05 && (masks?.absolute ?? 1) < 0.01);
    await runCheckOf(await importModel(large));
  });

  it('is left out where nothing is finite', async () => {
    const huge = await importModel(withValues(randomM2f(TINY), 'class_embed.bias', () => 3e38));
    assert.equal(await checkOf(huge), undefined);
    assert.equal(huge.manifest.artifacts.length, 3);
  });

  // What earlier imports of the same bundles have: of another check the same bundle would be another version.
  const known: Readonly<Record<string, readonly [Partial<M2fShape>, string]>> = {
    'padding to multiples of 32': [{}, 'a01a5394157bbb6639c2713fd14e9d234439ee6edb10642d3940603ce3794739'],
    'padding to multiples of 96': [{ divisibility: 96 }, 'c16317481be63c20db8d3fd08bdc7b5f13a4590880b03730b9ffe7dd178252ad'],
  };
  for (const [name, [change, digest]] of Object.entries(known)) {
    it(`stays the same, byte by byte: ${name}`, async () => {
      const check = await checkOfModel(randomM2f({ ...TINY, ...change }));
      assert.equal(digestOf(encodeCheck(check ?? assert.fail())), `sha256:${digest}`);
    });
  }

  it('stops between two tensors once its signal is aborted', async () => {
    const controller = new AbortController();
    const model = randomM2f(TINY);
    const interrupted: M2fModel = {
      ...model,
      tensors: model.tensors.map((tensor) => {
        const isLast = tensor.name.endsWith('res5.2.conv3.weight');
        return isLast ? { ...tensor, values: () => (controller.abort(), tensor.values()) } : tensor;
      }),
    };
    await assert.rejects(checkOfModel(interrupted, controller.signal), isError('cancelled', 'CANCELLED'));
  });
});

describe('the golden check of the narrow reference model', needsReferenceData, () => {
  it('is met, and the same as ever', async () => {
    const source = await openFolderSource(referencePath('bundles', 'segmentation_models', 'M2F', 'SynthSmall'), signal);
    try {
      const bundle = await importBundle(source, { signal });
      await runCheckOf(bundle);
      const artifact = bundle.manifest.artifacts.find(({ mediaType }) => mediaType === CHECK_MEDIA_TYPE);
      assert.equal(artifact?.digest, 'sha256:bc080b9fd11b68538a52ac2ae44c638135463e5047f4dba6a26421b5df0be81b');
    } finally {
      await source.close();
    }
  });
});
