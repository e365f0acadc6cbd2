import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { importBundle } from '../../../clients/import/import-bundle.ts';
import { rejectsBundle } from '../../support/bundle-errors.ts';
import { collect } from '../../support/bundle-files.ts';
import { evaluateMlp } from '../../support/bundle-formulas.ts';
import { MemorySource } from '../../support/bundle-memory-source.ts';
import { type AmmShape, type AmmWriter, type MlpModel, mlpFiles, randomMlp, seededRandom } from '../../support/bundle-models.ts';
import { runClassifier } from '../../support/bundle-run.ts';
import { TORCH_2 } from '../../support/bundle-torch.ts';

const { signal } = new AbortController();
const COLOURS = 400;

function importFiles(files: Readonly<Record<string, Uint8Array>>) {
  return importBundle(new MemorySource(files), { signal });
}

async function graphOf(files: Readonly<Record<string, Uint8Array>>): Promise<Uint8Array> {
  const [file] = (await importFiles(files)).files;
  return file === undefined ? assert.fail('no file') : collect(file.read());
}

describe('an MLP bundle', () => {
  const shapes: readonly AmmShape[] = [
    { classCount: 6, embeddingSize: 16, depth: 4, hasSpectralNorm: false },
    { classCount: 5, embeddingSize: 16, depth: 4, hasSpectralNorm: true },
    { classCount: 2, embeddingSize: 2, depth: 0, hasSpectralNorm: false },
    { classCount: 3, embeddingSize: 1, depth: 1, hasSpectralNorm: true },
    { classCount: 256, embeddingSize: 7, depth: 8, hasSpectralNorm: false },
  ];
  for (const shape of shapes) {
    it(`gives the logits and classes of the formula: ${JSON.stringify(shape)}`, async () => {
      const model = randomMlp(shape);
      const random = seededRandom(7);
      const contrast = Float32Array.from({ length: COLOURS * 3 }, () => Math.round((random() - 0.2) * 1.2 * 1024) / 1024);
      const output = await runClassifier(await graphOf({ ...mlpFiles(model) }), contrast, 'logit');
      const evaluate = evaluateMlp(model);
      assert.equal(output.distanceCount, shape.classCount);
      for (let at = 0; at < COLOURS; at += 1) {
        const { logits, classIndex } = evaluate([...contrast.subarray(at * 3, at * 3 + 3)]);
        const allowed = 1e-6 * Math.max(...logits.map(Math.abs)) + 1e-6;
        logits.forEach((expected, index) => {
          const found = output.distances[at * shape.classCount + index] ?? Number.NaN;
          assert.ok(Math.abs(found - expected) <= 10 * allowed, `colour ${at}, class ${index}: ${found} instead of ${expected}`);
        });
        const [best = 0, next = 0] = logits.toSorted((a, b) => b - a);
        assert.ok(best - next < 20 * allowed || output.classes[at] === classIndex, `colour ${at}: ${output.classes[at]}`);
      }
      assert.ok(new Set(output.classes).size > 1, 'one class only: the comparison says little');
    });
  }

  const model = randomMlp({ classCount: 4, embeddingSize: 6, depth: 2, hasSpectralNorm: true });
  const writers: readonly (readonly [string, AmmWriter])[] = [
    ['PyTorch 2 on a GPU', TORCH_2],
    ['zip64', { isZip64: true }],
    ['parameters in double precision', { change: (tensor) => ({ ...tensor, isParameter: true, storage: 'Double' }) }],
    ['settings left at their defaults', { withoutKeys: ['input_dim', 'spectral_normalization', 'dropout_rate'] }],
  ];
  for (const [name, writer] of writers) {
    it(`gives the same graph whoever wrote it: ${name}`, async () => {
      assert.deepEqual(await graphOf({ ...mlpFiles(model, writer) }), await graphOf({ ...mlpFiles(model) }));
    });
  }

  it('takes the first of equally large logits, the background among them', async () => {
    const flat: MlpModel = {
      ...randomMlp({ classCount: 3, embeddingSize: 1, depth: 0, hasSpectralNorm: false }),
      mean: [0, 0, 0],
      std: [1, 1, 1],
      layers: [{ weight: [1, 0, 0], bias: [0], u: [1], v: [1, 0, 0] }],
    };
    const classes = async (weight: readonly number[], bias: readonly number[], contrast: number): Promise<number | undefined> => {
      const graph = await graphOf({ ...mlpFiles({ ...flat, last: { weight, bias } }) });
      return (await runClassifier(graph, Float32Array.of(contrast, 0, 0), 'logit')).classes[0];
    };
    assert.equal(await classes([0, 0, 0], [1, 1, 1], 0.5), 0);
    assert.equal(await classes([0, 2, 2], [0, 0, 0], 0.5), 1);
    // However far from anything that training saw.
    assert.equal(await classes([0, 0, 1], [0, 0, 0], 10_000), 2);
  });

  it('is a pixel classifier by its manifest, and the same bytes each time', async () => {
    const first = await importFiles({ ...mlpFiles(model) });
    assert.deepEqual([first.family, first.kind, first.manifest.contract], ['MLP', 'classification', 'pixel-classifier.v1']);
    assert.deepEqual(
      first.manifest.classes.map(({ index }) => index),
      [1, 2, 3],
    );
    assert.deepEqual(first.manifest.graph.outputs[1], { name: 'logit', type: 'float32', shape: ['N', 4] });
    assert.deepEqual((await importFiles({ ...mlpFiles(model) })).manifest, first.manifest);
  });

  const files = mlpFiles(model);
  it('is refused without its classification layer, or with one of another size', async () => {
    const without = mlpFiles(model, { change: (tensor) => (tensor.name === 'last.bias' ? undefined : tensor) });
    assert.match(await rejectsBundle(importFiles({ ...without }), 'model.pth'), /missing: last\.bias/);
    const settings = Buffer.from(files['meta_data.json'].toString().replace('"num_classes": 4', '"num_classes": 5'));
    const other = { ...files, 'meta_data.json': settings };
    assert.match(await rejectsBundle(importFiles(other), 'model.pth'), /last\.weight \(4, 6\) instead of \(5, 6\)/);
  });

  it('is refused with spectral normalisation against its settings', async () => {
    const settings = Buffer.from(
      files['meta_data.json'].toString().replace('"spectral_normalization": true', '"spectral_normalization": false'),
    );
    assert.match(
      await rejectsBundle(importFiles({ ...files, 'meta_data.json': settings }), 'model.pth'),
      /missing: first\.weight/,
    );
  });
});
