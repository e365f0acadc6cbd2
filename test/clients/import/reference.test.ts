import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { type BundleSource, readerOf } from '../../../clients/import/bundle-source.ts';
import { detectBundle } from '../../../clients/import/detect.ts';
import { addNetwork, type EmbeddingNetwork, readNetwork } from '../../../clients/import/embedding-network.ts';
import { importBundle } from '../../../clients/import/import-bundle.ts';
import { parseShapeModel } from '../../../clients/import/import-l2.ts';
import { parseNetworkSettings } from '../../../clients/import/network-settings.ts';
import { type NpyArray, parseNpy } from '../../../clients/import/npy.ts';
import { GraphBuilder } from '../../../clients/import/onnx-graph.ts';
import { openFolderSource } from '../../../clients/import/sources/folder-source.ts';
import { TorchCheckpoint } from '../../../clients/import/torch-checkpoint.ts';
import { ModelProto } from '../../../proto/gen/onnx/onnx.ts';
import { collect } from '../../support/bundle-files.ts';
import { PUBLISHED_L2, writeJoblib } from '../../support/bundle-joblib.ts';
import { runClassifier, runGraph } from '../../support/bundle-run.ts';
import { needsReferenceData, referenceData, referencePath } from '../../support/reference-data.ts';

const { signal } = new AbortController();
/** `AMM_WSe2` lies in AMM/WSe2, `GMM_WSe2_2DMatGMM` in GMM/WSe2_2DMatGMM; all classifiers. */
const bundlePath = (head: string): string => referencePath('bundles', 'classification_models', head.slice(0, 3), head.slice(4));
const npy = (...parts: readonly string[]): NpyArray => {
  const path = referencePath('micro', ...parts);
  return parseNpy(readFileSync(path), path);
};
const folders = (...parts: readonly string[]): string[] =>
  referenceData === undefined ? [] : readdirSync(referencePath(...parts));

async function withSource<T>(head: string, action: (source: BundleSource) => Promise<T>): Promise<T> {
  const source = await openFolderSource(bundlePath(head), signal);
  try {
    return await action(source);
  } finally {
    await source.close();
  }
}

async function importHead(head: string): Promise<{ graph: Buffer; classes: readonly number[] }> {
  const { files, manifest } = await withSource(head, (source) => importBundle(source, { signal }));
  const [file] = files;
  assert.ok(file !== undefined);
  return { graph: await collect(file.read()), classes: manifest.classes.map(({ index }) => index) };
}

function networkOf(head: string): Promise<EmbeddingNetwork> {
  return withSource(head, async (source) => {
    const { files } = await detectBundle(source, undefined, signal);
    const settings = parseNetworkSettings(readFileSync(`${bundlePath(head)}/meta_data.json`), 'meta_data.json');
    const weights = files.get('model.pth') ?? assert.fail('no model.pth');
    return readNetwork(await TorchCheckpoint.open(readerOf(source, weights, signal), signal), settings);
  });
}

/** The values of a graph's constants whose names begin so, in the order of their numbers. */
function constants(graph: Uint8Array, prefix: string): number[][] {
  const tensors = ModelProto.decode(graph).graph?.initializer ?? [];
  return tensors
    .filter(({ name }) => name.startsWith(prefix))
    .map(({ rawData, dataType }) => {
      const view = new DataView(rawData.buffer, rawData.byteOffset, rawData.byteLength);
      const isDouble = dataType === 11;
      return Array.from({ length: rawData.byteLength / (isDouble ? 8 : 4) }, (_, at) =>
        isDouble ? view.getFloat64(at * 8, true) : view.getFloat32(at * 4, true),
      );
    });
}

function assertClose(
  found: ArrayLike<number>,
  expected: ArrayLike<number>,
  relative: number,
  absolute: number,
  what: string,
): void {
  assert.equal(found.length, expected.length, what);
  let worst = 0;
  Array.from(expected).forEach((value, at) => {
    const excess = Math.abs((found[at] ?? Number.NaN) - value) / (relative * Math.abs(value) + absolute);
    worst = excess > worst || Number.isNaN(excess) ? excess : worst;
  });
  assert.ok(worst <= 1, `${what}: ${worst} times what is allowed`);
}

describe('the reference bundles', needsReferenceData, () => {
  for (const family of ['AMM', 'GMM', 'MLP']) {
    for (const name of folders('bundles', 'classification_models', family)) {
      it(`are imported, twice the same: ${family} ${name}`, async () => {
        const [first, second] = [await importHead(`${family}_${name}`), await importHead(`${family}_${name}`)];
        assert.ok(first.classes.length >= 3);
        assert.deepEqual(first.graph, second.graph);
      });
    }
  }

  for (const head of ['AMM_GrapheneH', 'AMM_WSe2', 'MLP_GrapheneH']) {
    it(`have the reference's folded weights: ${head}`, async () => {
      const { mean, std, first, residuals, last } = await networkOf(head);
      for (const [name, layer] of [
        ['first', first] as const,
        ['last', last] as const,
        ...residuals.map((each, index) => [`residuals.${index}`, each] as const),
      ]) {
        assertClose(layer.weight, npy('weights', head, `${name}.weight.npy`).data, 1e-6, 1e-8, `${name}.weight`);
        assert.deepEqual([...layer.bias], [...npy('weights', head, `${name}.bias.npy`).data]);
      }
      assert.equal(mean.length + std.length, 6);
    });
  }

  for (const head of ['AMM_GrapheneH', 'AMM_WSe2']) {
    it(`have the reference's factors: ${head}`, async () => {
      const { graph } = await importHead(head);
      const expected = npy('weights', head, 'inv_cholesky.npy');
      // The reference's factor is that of a covariance regularised in single precision: see the distances for what it comes to.
      const size = (expected.shape[1] ?? 0) ** 2;
      constants(graph, 'whitening.').forEach((values, index) => {
        const reference = expected.data.subarray(index * size, (index + 1) * size);
        assertClose(values, reference, 0, 2e-3 * Math.max(...reference.map(Math.abs)), `whitening ${index}`);
      });
    });
  }

  for (const head of ['GMM_GrapheneH', 'GMM_Graphene_2DMatGMM', 'GMM_WSe2', 'GMM_WSe2_2DMatGMM']) {
    it(`have the reference's factors: ${head}`, async () => {
      const { graph } = await importHead(head);
      assertClose(
        constants(graph, 'whitening.').flat(),
        npy('weights', head, 'inv_cholesky.npy').data,
        1e-9,
        1e-12,
        'inverse factors',
      );
      assert.deepEqual(constants(graph, 'mean.').flat(), [...npy('weights', head, 'means_bgr.npy').data]);
    });
  }

  const gmmChecks: readonly (readonly [string, readonly number[], readonly number[], number])[] = [
    ['GMM_Graphene_2DMatGMM', [-0.1, -0.2, -0.19], [18.429709, 26.08929, 183.342983, 475.132725], 1],
    ['GMM_WSe2_2DMatGMM', [-0.8, -0.75, -0.65], [134.969649, 3.941936, 221.554657], 2],
  ];
  for (const [head, contrast, squares, classIndex] of gmmChecks) {
    it(`give the published check values: ${head}`, async () => {
      const output = await runClassifier((await importHead(head)).graph, Float32Array.from(contrast));
      assertClose(output.distances, squares.map(Math.sqrt), 1e-5, 0, 'distances');
      assert.deepEqual([...output.classes], [classIndex]);
    });
  }

  const crops = folders('micro').filter((name) => name !== 'weights');
  for (const [crop, head] of crops.flatMap((each) =>
    folders('micro', each)
      .filter((name) => /^(AMM|GMM)_/.test(name))
      .map((name) => [each, name] as const),
  )) {
    it(`give the reference's distances and classes: ${head} on ${crop}`, async () => {
      const contrast = Float32Array.from(npy(crop, 'contrast.npy').data);
      const { graph } = await importHead(head);
      const output = await runClassifier(graph, contrast);
      const distances = npy(crop, head, 'mh_distance.npy').data;
      const semantic = readClassMap(crop, head);
      if (head.startsWith('AMM')) {
        assertClose(output.distances, distances, 1e-3, 0, 'distances');
        assertClose(output.distances, npy(crop, head, 'mh_distance_float64.npy').data, 1e-3, 0, 'float64 distances');
      } else {
        assertClose(output.distances, distances, 1e-4, 1e-4, 'distances');
      }
      assert.deepEqual([...output.classes], [...semantic]);
    });
  }

  for (const [crop, head] of crops.flatMap((each) =>
    folders('micro', each)
      .filter((name) => /^(AMM|MLP)_/.test(name))
      .map((name) => [each, name] as const),
  )) {
    it(`give the reference's embedding: ${head} on ${crop}`, async () => {
      const contrast = Float32Array.from(npy(crop, 'contrast.npy').data);
      const graph = new GraphBuilder('embedding');
      const columns = addNetwork(graph, graph.input('contrast', 'float32', ['N', 3]), await networkOf(head));
      graph.output(graph.node('Transpose', [columns], { perm: { ints: [1, 0] } }, 'embedding'), 'float32', ['N', 'D']);
      const { embedding } = await runGraph(graph.build('test', {}), 'contrast', contrast, [contrast.length / 3, 3]);
      assert.ok(embedding?.data instanceof Float32Array);
      const expected = npy(crop, head, 'embedding.npy').data;
      const allowed = head.startsWith('MLP') ? 1e-6 * Math.max(...expected.map(Math.abs)) : 1e-5;
      assertClose(embedding.data, expected, 0, allowed, 'embedding');
    });
  }

  for (const crop of crops.filter((each) => folders('micro', each).includes('MLP_GrapheneH'))) {
    it(`give the reference's logits and classes: MLP_GrapheneH on ${crop}`, async () => {
      const contrast = Float32Array.from(npy(crop, 'contrast.npy').data);
      const output = await runClassifier((await importHead('MLP_GrapheneH')).graph, contrast, 'logit');
      const logits = npy(crop, 'MLP_GrapheneH', 'logits.npy').data;
      assertClose(output.distances, logits, 0, 1e-6 * Math.max(...logits.map(Math.abs)), 'logits');
      assert.deepEqual([...output.classes], [...readClassMap(crop, 'MLP_GrapheneH')]);
    });
  }

  it('have the published parameters: L2', async () => {
    const path = referencePath('bundles', 'postprocessing_models', 'L2', '2DMatGMM');
    const stated: { coef: number[]; intercept: number } = JSON.parse(readFileSync(`${path}/l2_parameters.json`, 'utf8'));
    const model = parseShapeModel(readFileSync(`${path}/model.joblib`), 'model.joblib');
    assert.deepEqual(model, { classes: [0, 1], coefficients: stated.coef, intercept: stated.intercept });
    // So are those of the tests' own writer.
    assert.deepEqual(parseShapeModel(writeJoblib(PUBLISHED_L2), 'model.joblib'), model);
    const source = await openFolderSource(path, signal);
    try {
      assert.equal((await importBundle(source, { signal })).family, 'L2');
    } finally {
      await source.close();
    }
  });
});

/** Class maps are stored as bytes, which the importer's reader has no use for. */
function readClassMap(crop: string, head: string): Buffer {
  const bytes = readFileSync(referencePath('micro', crop, head, 'semantic.npy'));
  return bytes.subarray(10 + bytes.readUInt16LE(8));
}
