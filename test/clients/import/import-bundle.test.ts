import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type ImportedBundle, importBundle } from '../../../clients/import/import-bundle.ts';
import { MESSAGE_BYTES } from '../../../proto/wire/chunks.ts';
import { digestOf, refOf } from '../../../proto/wire/digest.ts';
import { CHECK_MEDIA_TYPE, checkArtifacts } from '../../../proto/wire/golden-check.ts';
import { encodeManifest, parseManifest } from '../../../proto/wire/manifest.ts';
import { rejectsBundle } from '../../support/bundle-errors.ts';
import { collect } from '../../support/bundle-files.ts';
import { PUBLISHED_L2, writeJoblib } from '../../support/bundle-joblib.ts';
import { MemorySource } from '../../support/bundle-memory-source.ts';
import { ammFiles, contrastDict, randomAmm, randomGmm } from '../../support/bundle-models.ts';

const { signal } = new AbortController();
const AMM: Readonly<Record<string, Buffer>> = {
  ...ammFiles(randomAmm({ classCount: 3, embeddingSize: 4, depth: 1, hasSpectralNorm: true })),
};
const GMM = { 'contrast_dict.json': contrastDict(randomGmm(['1', '2'])) };
const NOTHING = Buffer.alloc(3);

const inFolder = (folder: string, files: Readonly<Record<string, Uint8Array>>): Record<string, Uint8Array> =>
  Object.fromEntries(Object.entries(files).map(([name, bytes]) => [`${folder}/${name}`, bytes]));
const importFrom = (files: Readonly<Record<string, Uint8Array>>, name = 'memory', folder?: string): Promise<ImportedBundle> =>
  importBundle(new MemorySource(files, name), { signal, ...(folder === undefined ? {} : { folder }) });

describe('importing a bundle', () => {
  const found: readonly (readonly [string, Readonly<Record<string, Uint8Array>>, string, string])[] = [
    ['AMM at the top', AMM, 'AMM', 'memory'],
    [
      'AMM deep inside, among other files',
      { ...inFolder('a/CLS_AMM_WSe2', AMM), 'a/README.md': NOTHING, 'b/image.jpg': NOTHING },
      'AMM',
      'CLS_AMM_WSe2',
    ],
    ['GMM', GMM, 'GMM', 'memory'],
    [
      'GMM with what the trainer leaves beside it',
      { ...GMM, 'loc.npy': NOTHING, 'cov.npy': NOTHING, 'meta_data.json': NOTHING },
      'GMM',
      'memory',
    ],
    ['AMM beside files of macOS', { ...inFolder('m', AMM), '__MACOSX/m/._model.pth': NOTHING }, 'AMM', 'm'],
  ];
  for (const [name, files, family, suggestedName] of found) {
    it(`finds ${name}`, async () => {
      const bundle = await importFrom(files);
      assert.deepEqual([bundle.family, bundle.suggestedName], [family, suggestedName]);
    });
  }

  it('suggests the name of the zip where the files lie at its top, and none that is no model name', async () => {
    assert.equal((await importFrom(AMM, 'CLS_AMM_GrapheneH.zip')).suggestedName, 'CLS_AMM_GrapheneH');
    assert.equal((await importFrom(inFolder('my model', AMM), 'a b.zip')).suggestedName, undefined);
    assert.equal((await importFrom(inFolder('my model', AMM), 'set.zip')).suggestedName, 'set');
  });

  it('suggests the innermost name that begins as published models do, before any other', async () => {
    assert.equal((await importFrom(inFolder('GrapheneH', AMM), 'CLS_AMM_GrapheneH.zip')).suggestedName, 'CLS_AMM_GrapheneH');
    assert.equal((await importFrom(inFolder('CLS_AMM_B/final', AMM), 'CLS_AMM_A.zip')).suggestedName, 'CLS_AMM_B');
    assert.equal((await importFrom(inFolder('GrapheneH', GMM), 'CLS_AMM_GrapheneH.zip')).suggestedName, 'GrapheneH');
  });

  it('takes one of several by its folder', async () => {
    const files = { ...inFolder('x/AMM', AMM), ...inFolder('x/GMM', GMM) };
    assert.match(await rejectsBundle(importFrom(files, 'set.zip'), 'set.zip'), /AMM in "x\/AMM", GMM in "x\/GMM"/);
    assert.equal((await importFrom(files, 'set.zip', 'x/GMM/')).family, 'GMM');
    assert.match(await rejectsBundle(importFrom(files, 'set.zip', 'x'), 'set.zip'), /no model bundle in "x"/);
  });

  it('does not guess between two families in one folder', async () => {
    assert.match(await rejectsBundle(importFrom({ ...AMM, ...GMM }), 'memory'), /GMM.*AMM/);
  });

  const without = (...names: readonly string[]): Record<string, Uint8Array> =>
    Object.fromEntries(Object.entries(AMM).filter(([name]) => !names.includes(name)));
  const incomplete: readonly (readonly [string, Record<string, Uint8Array>, RegExp])[] = [
    ['nothing', {}, /no file/],
    ['other files', { 'a.txt': NOTHING }, /a\.txt/],
    ['an AMM without loc.npy', without('loc.npy'), /without loc\.npy/],
    ['an AMM without model.pth', without('model.pth'), /misses model\.pth/],
    ['an AMM without meta_data.json', without('meta_data.json'), /misses meta_data\.json/],
    [
      'an AMM spread over two folders',
      { ...inFolder('a', without('model.pth', 'cov.npy')), 'b/model.pth': NOTHING, 'b/cov.npy': NOTHING },
      /"a".*"b"/,
    ],
  ];
  for (const [name, files, message] of incomplete) {
    it(`refuses ${name}`, async () => {
      assert.match(await rejectsBundle(importFrom(files), 'memory'), message);
    });
  }

  for (const files of [
    { 'config.yaml': NOTHING, 'model_final.pth': NOTHING },
    { 'config.yaml': NOTHING, 'model.pth': NOTHING, last_checkpoint: NOTHING },
  ]) {
    it(`reads the configuration of ${Object.keys(files).join(', ')} first`, async () => {
      assert.match(await rejectsBundle(importFrom(files), 'config.yaml'), /YAML/);
    });
  }

  it('knows every family by its files', async () => {
    assert.equal((await importFrom(without('loc.npy', 'cov.npy'))).family, 'MLP');
    const l2 = { 'model.joblib': writeJoblib(PUBLISHED_L2), 'metadata.json': NOTHING };
    assert.equal((await importFrom(inFolder('PP_L2_material_agnostic', l2))).family, 'L2');
  });

  it('gives a manifest of what it read and made', async () => {
    const lineage = {
      doi: '10.5281/zenodo.15765516',
      sourceUrl: 'https://example.org/x.zip',
      dataset: 'WSe2',
      licence: 'MIT',
      metrics: { ap: 0.5 },
    };
    const bundle = await importBundle(new MemorySource(inFolder('m', AMM)), { signal, lineage });
    const { manifest, files } = bundle;
    const [file, check] = files;
    assert.ok(file !== undefined && check !== undefined && files.length === 2);
    const bytes = await collect(file.read());
    assert.deepEqual(file.ref, refOf(bytes));
    assert.deepEqual(await collect(file.read()), bytes);
    assert.deepEqual(manifest.artifacts, [
      { path: 'model.onnx', role: 'serving', mediaType: 'application/vnd.onnx', ...refOf(bytes), chunks: [digestOf(bytes)] },
      { path: 'check.json', role: 'serving', mediaType: CHECK_MEDIA_TYPE, ...check.ref, chunks: [...check.chunks] },
    ]);
    assert.deepEqual(checkArtifacts(manifest), [manifest.artifacts[1]]);
    assert.deepEqual(manifest.graph.inputs, [{ name: 'contrast', type: 'float32', shape: ['N', 3] }]);
    assert.deepEqual(manifest.lineage, {
      ...lineage,
      converter: 'maskterial-serving amm 1',
      sourceFiles: ['meta_data.json', 'model.pth', 'loc.npy', 'cov.npy'].map((name) => ({
        name,
        ...refOf(AMM[name] ?? NOTHING),
      })),
    });
    assert.deepEqual(parseManifest(encodeManifest(manifest)), manifest);
  });

  it('keeps the files that it was made from where that is asked for, as the lineage has them', async () => {
    const source = new MemorySource({ ...inFolder('m', AMM), 'm/train.log': NOTHING });
    const { manifest, files } = await importBundle(source, { signal, keepSources: true });
    const kept = manifest.artifacts.filter(({ role }) => role === 'source');
    assert.deepEqual(
      kept.map(({ path, digest, sizeBytes }) => ({ name: path.replace(/^source\//, ''), digest, sizeBytes })),
      manifest.lineage.sourceFiles,
    );
    assert.deepEqual(
      manifest.artifacts.map(({ path, role }) => [path, role]),
      [['model.onnx', 'serving'], ['check.json', 'serving'], ...Object.keys(AMM).map((name) => [`source/${name}`, 'source'])],
    );
    for (const { path, ref, chunks, read } of files.slice(2)) {
      const bytes = await collect(read());
      assert.deepEqual(bytes, AMM[path.replace(/^source\//, '')]);
      assert.deepEqual([ref, chunks], [refOf(bytes), [digestOf(bytes)]]);
    }
    const plain = await importFrom(inFolder('m', AMM));
    assert.deepEqual(plain.manifest.lineage, manifest.lineage);
  });

  it('never holds a kept file: it is read piece by piece', async () => {
    const padding = Buffer.alloc(3 * 1024 * 1024, ' ');
    const large = Buffer.concat([contrastDict(randomGmm(['1'])), padding]);
    const source = new MemorySource({ 'contrast_dict.json': large });
    const { files } = await importBundle(source, { signal, keepSources: true });
    source.largestRead = 0;
    const kept = files.at(-1);
    assert.ok(kept !== undefined);
    assert.deepEqual(await collect(kept.read()), large);
    assert.equal(source.largestRead, MESSAGE_BYTES);
  });

  it('gives the same bytes each time', async () => {
    for (const files of [AMM, GMM]) {
      const [first, second] = [await importFrom(files), await importFrom(inFolder('elsewhere', files))];
      assert.deepEqual(encodeManifest(first.manifest), encodeManifest(second.manifest));
      assert.deepEqual(first.files[0]?.ref, second.files[0]?.ref);
    }
  });
});
