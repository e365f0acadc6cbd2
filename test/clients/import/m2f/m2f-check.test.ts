import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type ImportedBundle, importBundle } from '../../../../clients/import/import-bundle.ts';
import { m2fCheck } from '../../../../clients/import/m2f/m2f-check.ts';
import { parseM2fSettings } from '../../../../clients/import/m2f/settings.ts';
import { openFolderSource } from '../../../../clients/import/sources/folder-source.ts';
import { encodeCheck, type GoldenCheck, MAX_CHECK_BYTES } from '../../../../proto/wire/golden-check.ts';
import { rejectsBundle } from '../../../support/bundle-errors.ts';
import { MemorySource } from '../../../support/bundle-memory-source.ts';
import type { LazyTensor } from '../../../support/m2f/checkpoint.ts';
import { configText, lookupIn, type M2fModel, m2fFiles, randomM2f, TINY } from '../../../support/m2f/random-model.ts';
import type { M2fShape } from '../../../support/m2f/shape.ts';
import { needsReferenceData, referencePath } from '../../../support/reference-data.ts';
import { checkOf, runCheckOf } from '../../../support/run-check.ts';
import { isError } from '../../../support/service-errors.ts';

const { signal } = new AbortController();
const isRefused = isError('failed-precondition', 'GOLDEN_CHECK_FAILED');
const importModel = (model: M2fModel): Promise<ImportedBundle> => importBundle(new MemorySource(m2fFiles(model)), { signal });
const checkOfModel = (model: M2fModel, until = signal): Promise<GoldenCheck | undefined> =>
  m2fCheck(parseM2fSettings(Buffer.from(model.config), 'config.yaml'), { file: '', tensor: lookupIn(model) }, until);

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

  const unaffordable: Readonly<Record<string, Partial<M2fShape>>> = {
    'that attends for minutes': { encoderLayers: 64, decoderLayers: 63, queries: 1000, heads: 16 },
    'of published weights that pads far': {
      width: 64,
      outputs: 256,
      hidden: 256,
      convs: 256,
      feedForward: 2048,
      divisibility: 160,
    },
    // Whose image alone would have 400 MB.
    'whose check nobody could read': { divisibility: 8192, queries: 1 },
  };
  for (const [name, change] of Object.entries(unaffordable)) {
    it(`refuses a model ${name}, and reads no tensor for it`, async () => {
      const config = configText({ ...TINY, ...change }, { 'TEST.DETECTIONS_PER_IMAGE': 1000 });
      const checkpoint = { file: 'model_final.pth', tensor: () => assert.fail('a tensor was read') };
      const check = m2fCheck(parseM2fSettings(Buffer.from(config), 'config.yaml'), checkpoint, signal);
      await rejectsBundle(check, 'model_final.pth', 'UNSUPPORTED_MODEL');
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
  it('is met', async () => {
    const source = await openFolderSource(referencePath('bundles', 'segmentation_models', 'M2F', 'SynthSmall'), signal);
    try {
      const bundle = await importBundle(source, { signal });
      await runCheckOf(bundle);
      assert.equal((await checkOf(bundle))?.cases[0]?.outputs.length, 2);
    } finally {
      await source.close();
    }
  });
});
