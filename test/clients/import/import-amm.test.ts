import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { importBundle } from '../../../clients/import/import-bundle.ts';
import { rejectsBundle } from '../../support/bundle-errors.ts';
import { collect } from '../../support/bundle-files.ts';
import { evaluateAmm } from '../../support/bundle-formulas.ts';
import { MemorySource } from '../../support/bundle-memory-source.ts';
import {
  type AmmModel,
  type AmmShape,
  type AmmWriter,
  ammFiles,
  type BundleFiles,
  randomAmm,
  seededRandom,
} from '../../support/bundle-models.ts';
import { commandPickle, op, pickleOf } from '../../support/bundle-pickle.ts';
import { runClassifier } from '../../support/bundle-run.ts';
import { emptyOrderedDict, TORCH_2, writePthAround } from '../../support/bundle-torch.ts';

const { signal } = new AbortController();
const importFiles = (files: Readonly<Record<string, Uint8Array>>) => importBundle(new MemorySource(files), { signal });

async function graphOf(files: Readonly<Record<string, Uint8Array>>): Promise<Uint8Array> {
  const [file] = (await importFiles(files)).files;
  return file === undefined ? assert.fail('no file') : collect(file.read());
}

/** Contrasts as the pre-processing gives them: -1 to some 0.5, on a grid. */
function randomContrast(count: number): Float32Array {
  const random = seededRandom(7);
  return Float32Array.from({ length: count * 3 }, () => Math.round((random() - 0.2) * 1.2 * 1024) / 1024);
}

async function checkAgainstFormula(model: AmmModel, graph: Uint8Array): Promise<Set<number>> {
  const contrast = randomContrast(400);
  const output = await runClassifier(graph, contrast);
  const evaluate = evaluateAmm(model);
  assert.equal(output.distanceCount, model.classCount);
  for (let at = 0; at < 400; at += 1) {
    const { distances, classIndex } = evaluate([...contrast.subarray(at * 3, at * 3 + 3)]);
    distances.forEach((expected, index) => {
      const found = output.distances[at * model.classCount + index] ?? 0;
      assert.ok(
        Math.abs(found - expected) <= 2e-4 * expected + 1e-6,
        `colour ${at}, class ${index}: ${found} instead of ${expected}`,
      );
    });
    const [nearest = 0, next = Number.POSITIVE_INFINITY] = [...distances].toSorted((a, b) => a - b);
    const isTie = next - nearest < 4e-4 * nearest || Math.abs(nearest - 10) < 4e-3;
    assert.ok(isTie || output.classes[at] === classIndex, `colour ${at}: class ${output.classes[at]} instead of ${classIndex}`);
  }
  return new Set(output.classes);
}

describe('an AMM bundle', () => {
  const shapes: readonly AmmShape[] = [
    { classCount: 5, embeddingSize: 16, depth: 4, hasSpectralNorm: true },
    { classCount: 6, embeddingSize: 16, depth: 4, hasSpectralNorm: false },
    { classCount: 2, embeddingSize: 2, depth: 0, hasSpectralNorm: true },
    { classCount: 3, embeddingSize: 32, depth: 1, hasSpectralNorm: true },
    { classCount: 4, embeddingSize: 1, depth: 8, hasSpectralNorm: true },
    { classCount: 40, embeddingSize: 5, depth: 2, hasSpectralNorm: false },
    { classCount: 1 + 1, embeddingSize: 17, depth: 8, hasSpectralNorm: true },
  ];
  for (const shape of shapes) {
    it(`gives the distances and classes of the formula: ${JSON.stringify(shape)}`, async () => {
      const model = randomAmm(shape);
      const classes = await checkAgainstFormula(model, await graphOf({ ...ammFiles(model) }));
      assert.ok(classes.size > 1, 'one class only: the comparison says little');
    });
  }

  const model = randomAmm({ classCount: 4, embeddingSize: 6, depth: 2, hasSpectralNorm: true });
  const writers: readonly (readonly [string, AmmWriter])[] = [
    ['PyTorch 2 on a GPU', TORCH_2],
    ['zip64', { isZip64: true }],
    ['no checksums', { hasChecksums: false }],
    ['double-precision arrays', { npy: { descr: '<f8' } }],
    ['arrays in Fortran order', { npy: { isFortranOrder: true, major: 2 } }],
    ['weights in double precision', { change: (tensor) => ({ ...tensor, storage: 'Double' }) }],
    ['parameters', { change: (tensor) => ({ ...tensor, isParameter: true }) }],
    ['no weight_sigma', { change: (tensor) => (tensor.name.endsWith('sigma') ? undefined : tensor) }],
    [
      'settings left at their defaults',
      { withoutKeys: ['input_dim', 'spectral_normalization', 'n_power_iterations', 'dropout_rate'] },
    ],
  ];
  for (const [name, writer] of writers) {
    it(`gives the same graph whoever wrote it: ${name}`, async () => {
      assert.deepEqual(await graphOf({ ...ammFiles(model, writer) }), await graphOf({ ...ammFiles(model) }));
    });
  }

  it('has the defaults of the network where model_arch leaves keys out', async () => {
    const usual = randomAmm({ classCount: 2, embeddingSize: 16, depth: 4, hasSpectralNorm: true });
    const withDefault = { ...usual, spectralCoefficient: 0.95 };
    const without = ['num_classes', 'input_dim', 'embedding_dim', 'depth', 'spec_coeff', 'spectral_normalization'];
    assert.deepEqual(
      await graphOf({ ...ammFiles(usual, { withoutKeys: without }) }),
      await graphOf({ ...ammFiles(withDefault) }),
    );
  });

  it('gives the published check values', async () => {
    const checked: AmmModel = {
      classCount: 2,
      embeddingSize: 2,
      depth: 1,
      hasSpectralNorm: true,
      spectralCoefficient: 0.5,
      mean: [-0.1, -0.1, -0.1],
      std: [0.1, 0.2, 0.1],
      layers: [
        { weight: [1, 0.5, -0.25, 0.25, -0.5, 1], bias: [0.1, -0.2], u: [0.6, 0.8], v: [1 / 3, -2 / 3, 2 / 3] },
        { weight: [0.3, -0.1, 0.2, 0.1], bias: [0.05, -0.05], u: [0.8, 0.6], v: [1, 0] },
      ],
      loc: [0, 0, 0.2, -0.3],
      cov: [0.04, 0.01, 0.01, 0.09, 0.02, 0, 0, 0.02],
    };
    const output = await runClassifier(
      await graphOf({ ...ammFiles(checked) }),
      Float32Array.of(-0.1, -0.2, -0.15, 0.05, 0, -0.02),
    );
    const expected = [1.6815124, 1.1892371, 7.3180223, 10.9759693];
    expected.forEach((value, index) =>
      assert.ok(Math.abs((output.distances[index] ?? 0) - value) < 1e-5 * value, output.distances.join(' ')),
    );
    assert.deepEqual([...output.classes], [1, 0]);
    assert.deepEqual(
      evaluateAmm(checked)([-0.1, -0.2, -0.15]).embedding.map((value) => value.toFixed(7)),
      ['0.1103261', '-0.4423321'],
    );
  });

  /** Distances are |x + mean| in one dimension, nearly: weights of 1, no residual layers, covariances of 1. */
  const line = (loc: readonly number[]): AmmModel => ({
    classCount: loc.length,
    embeddingSize: 1,
    depth: 0,
    hasSpectralNorm: false,
    spectralCoefficient: 1,
    mean: [0, 0, 0],
    std: [1, 1, 1],
    layers: [{ weight: [1, 0, 0], bias: [0], u: [1], v: [1, 0, 0] }],
    loc,
    // Exactly 1 after the regularisation has been added and rounded to single precision.
    cov: loc.map(() => 1 - 1e-5),
  });

  it('takes the first of equally near classes, the background among them', async () => {
    const contrast = Float32Array.of(1, 0, 0, 3, 0, 0);
    assert.deepEqual([...(await runClassifier(await graphOf({ ...ammFiles(line([9, 2, 4, 0])) }), contrast)).classes], [1, 1]);
    assert.deepEqual([...(await runClassifier(await graphOf({ ...ammFiles(line([2, 2, 4])) }), contrast)).classes], [0, 0]);
  });

  it('keeps a class at a distance of exactly 10 and none beyond', async () => {
    const output = await runClassifier(await graphOf({ ...ammFiles(line([100, 0])) }), Float32Array.of(10, 0, 0, 10.0001, 0, 0));
    assert.deepEqual([output.distances[1], ...output.classes], [10, 1, 0]);
  });

  it('names its layers and describes its tensors', async () => {
    const { manifest, family, kind } = await importFiles(ammFiles(model));
    assert.deepEqual([family, kind, manifest.contract], ['AMM', 'classification', 'pixel-classifier.v1']);
    assert.deepEqual(manifest.classes, [
      { index: 1, name: '1 layer' },
      { index: 2, name: '2 layers' },
      { index: 3, name: '3 layers' },
    ]);
    assert.deepEqual(manifest.graph.outputs, [
      { name: 'class', type: 'uint8', shape: ['N'] },
      { name: 'distance', type: 'float32', shape: ['N', 4] },
    ]);
  });

  const files = ammFiles(model);
  const bad = (changes: Partial<BundleFiles>): Record<string, Uint8Array> => ({ ...files, ...changes });
  const meta = (from: string | RegExp, to: string): Buffer => Buffer.from(files['meta_data.json'].toString().replace(from, to));
  const dropped = (name: string): Buffer =>
    ammFiles(model, { change: (tensor) => (tensor.name === name ? undefined : tensor) })['model.pth'];
  const other = (changes: Partial<AmmModel>): BundleFiles => ammFiles({ ...model, ...changes });
  const refused: readonly (readonly [string, Record<string, Uint8Array>, string, RegExp])[] = [
    ['a tensor missing', bad({ 'model.pth': dropped('residuals.1.bias') }), 'model.pth', /missing: residuals\.1\.bias/],
    [
      'a deeper network than its settings',
      bad({ 'meta_data.json': meta('"depth": 2', '"depth": 1') }),
      'model.pth',
      /unexpected: "residuals\.1/,
    ],
    [
      'a shallower network than its settings',
      bad({ 'meta_data.json': meta('"depth": 2', '"depth": 3') }),
      'model.pth',
      /missing: residuals\.2/,
    ],
    [
      'spectral normalisation against its settings',
      bad({ 'meta_data.json': meta('"spectral_normalization": true', '"spectral_normalization": false') }),
      'model.pth',
      /missing: first\.weight/,
    ],
    [
      'another number of classes in loc.npy',
      bad({ 'loc.npy': other({ classCount: 3, loc: model.loc.slice(0, 18) })['loc.npy'] }),
      'loc.npy',
      /\(3, 6\)/,
    ],
    [
      'another number of classes in cov.npy',
      bad({ 'cov.npy': other({ classCount: 3, cov: model.cov.slice(0, 108) })['cov.npy'] }),
      'cov.npy',
      /\(3, 6, 6\)/,
    ],
    [
      'another number of classes in its settings',
      bad({ 'meta_data.json': meta('"num_classes": 4', '"num_classes": 5') }),
      'loc.npy',
      /num_classes/,
    ],
    [
      'another number of classes in last.weight',
      bad({ 'model.pth': ammFiles({ ...model, classCount: 7 })['model.pth'] }),
      'model.pth',
      /last\.weight \(7, 6\)/,
    ],
    [
      'a covariance with a negative direction',
      bad({ 'cov.npy': other({ cov: model.cov.map((value, index) => (index === 36 ? -1 : value)) })['cov.npy'] }),
      'cov.npy',
      /class 1/,
    ],
    [
      'a mean that is not finite',
      bad({ 'loc.npy': other({ loc: model.loc.map(() => Number.NaN) })['loc.npy'] }),
      'loc.npy',
      /finite/,
    ],
    ['no mean', bad({ 'meta_data.json': meta('train_mean', 'other') }), 'meta_data.json', /train_mean/],
    [
      'a deviation of zero',
      bad({ 'meta_data.json': meta(/"train_std": \[[^,]*,/, '"train_std": [0,') }),
      'meta_data.json',
      /train_std/,
    ],
    [
      'a deviation of zero in single precision',
      bad({ 'meta_data.json': meta(/"train_std": \[[^,]*,/, '"train_std": [1e-60,') }),
      'meta_data.json',
      /train_std/,
    ],
    [
      'a mean of text',
      bad({ 'meta_data.json': meta(/"train_mean": \[[^,]*,/, '"train_mean": ["1",') }),
      'meta_data.json',
      /train_mean/,
    ],
    ['257 classes', bad({ 'meta_data.json': meta('"num_classes": 4', '"num_classes": 257') }), 'meta_data.json', /256/],
    ['one class', bad({ 'meta_data.json': meta('"num_classes": 4', '"num_classes": 1') }), 'meta_data.json', /num_classes/],
    [
      'an absurd embedding',
      bad({ 'meta_data.json': meta('"embedding_dim": 6', '"embedding_dim": 1e9') }),
      'meta_data.json',
      /embedding_dim/,
    ],
    [
      'more weights than are read',
      bad({ 'meta_data.json': meta('"embedding_dim": 6', '"embedding_dim": 1024').subarray() }),
      'loc.npy',
      /1024/,
    ],
    ['four colour channels', bad({ 'meta_data.json': meta('"input_dim": 3', '"input_dim": 4') }), 'meta_data.json', /input_dim/],
    ['a fraction of a layer', bad({ 'meta_data.json': meta('"depth": 2', '"depth": 1.5') }), 'meta_data.json', /depth/],
    [
      'a coefficient of zero',
      bad({ 'meta_data.json': meta('"spec_coeff": 0.5', '"spec_coeff": 0') }),
      'meta_data.json',
      /spec_coeff/,
    ],
    [
      'a word for a truth value',
      bad({ 'meta_data.json': meta('"spectral_normalization": true', '"spectral_normalization": "yes"') }),
      'meta_data.json',
      /spectral_normalization/,
    ],
    ['settings that are a list', bad({ 'meta_data.json': Buffer.from('[]') }), 'meta_data.json', /object/],
    ['settings that are huge', bad({ 'meta_data.json': Buffer.alloc(5 * 1024 * 1024, ' ') }), 'meta_data.json', /at most/],
    [
      'a command for a state dict',
      bad({ 'model.pth': writePthAround(pickleOf(commandPickle('true')), []) }),
      'model.pth',
      /posix\.system/,
    ],
    [
      'a command for a weight',
      bad({
        'model.pth': writePthAround(
          pickleOf(emptyOrderedDict(), op.mark, op.text('first.bias'), commandPickle('true'), op.setItems),
          [],
        ),
      }),
      'model.pth',
      /first\.bias.*posix\.system/,
    ],
  ];
  for (const [name, bundle, file, message] of refused) {
    it(`is refused: ${name}`, async () => {
      assert.match(await rejectsBundle(importFiles(bundle), file), message);
    });
  }

  it('lists every problem of its settings', async () => {
    const text = meta('"depth": 2', '"depth": -1').toString().replace('train_mean', 'other');
    assert.match(
      await rejectsBundle(importFiles(bad({ 'meta_data.json': Buffer.from(text) })), 'meta_data.json'),
      /train_mean.*depth/,
    );
  });

  for (const [name, writer] of [
    ['no version', { hasMetadata: false }],
    ['version 0', { normVersion: 0 }],
    ['no version of one layer', { normalised: ['first', 'residuals.1'] }],
  ] as const satisfies readonly (readonly [string, AmmWriter])[]) {
    it(`is not supported with spectral_norm of ${name}`, async () => {
      assert.match(
        await rejectsBundle(importFiles({ ...ammFiles(model, writer) }), 'model.pth', 'UNSUPPORTED_MODEL'),
        /residuals\.0/,
      );
    });
  }

  it('answers up to 255 layers', async () => {
    const many = randomAmm({ classCount: 256, embeddingSize: 2, depth: 0, hasSpectralNorm: false });
    assert.equal((await importFiles(ammFiles(many))).manifest.classes.at(-1)?.index, 255);
  });
});
