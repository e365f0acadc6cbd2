import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { importBundle } from '../../../clients/import/import-bundle.ts';
import { rejectsBundle } from '../../support/bundle-errors.ts';
import { collect } from '../../support/bundle-files.ts';
import { evaluateGmm } from '../../support/bundle-formulas.ts';
import { MemorySource } from '../../support/bundle-memory-source.ts';
import { contrastDict, type GmmEntry, randomGmm, seededRandom } from '../../support/bundle-models.ts';
import { type ClassifierOutput, runClassifier } from '../../support/bundle-run.ts';

const { signal } = new AbortController();
const FILE = 'contrast_dict.json';
const importText = (bytes: Uint8Array) => importBundle(new MemorySource({ [FILE]: bytes }), { signal });

async function classify(entries: readonly GmmEntry[], contrast: readonly number[]): Promise<ClassifierOutput> {
  const [file] = (await importText(contrastDict(entries))).files;
  return runClassifier(file === undefined ? assert.fail('no file') : await collect(file.read()), Float32Array.from(contrast));
}

const IDENTITY = [
  [1, 0, 0],
  [0, 1, 0],
  [0, 0, 1],
];
const at = (key: string, b: number, covariance: readonly (readonly number[])[] = IDENTITY): GmmEntry => ({
  key,
  mean: [b, 0, 0],
  covariance,
});

describe('a GMM bundle', () => {
  const keySets: readonly (readonly string[])[] = [
    ['1', '2', '3', '4'],
    ['0', '1', '2'],
    ['4', '1', '2', '3'],
    ['1', '10', '2', '255'],
    ['7'],
    Array.from({ length: 40 }, (_, index) => String(index)),
  ];
  for (const keys of keySets) {
    it(`gives the distances and classes of the formula: ${keys.slice(0, 4).join(' ')}${keys.length > 4 ? ' ...' : ''}`, async () => {
      const entries = randomGmm(keys);
      const random = seededRandom(3);
      const contrast = Array.from({ length: 900 }, () => Math.round((random() - 0.4) * 1024) / 1024);
      const output = await classify(entries, contrast);
      // Columns of distances are in ascending order of the classes, whatever the file's.
      const inFile = entries.filter(({ key }) => key !== '0').map(({ key }) => Number(key));
      const ascending = inFile.toSorted((a, b) => a - b);
      for (let colour = 0; colour < 300; colour += 1) {
        const expected = evaluateGmm(entries)(contrast.slice(colour * 3, colour * 3 + 3));
        assert.equal(output.classes[colour], expected.classIndex);
        inFile.forEach((index, order) => {
          const found = output.distances[colour * inFile.length + ascending.indexOf(index)] ?? 0;
          const distance = expected.distances[order] ?? 0;
          assert.ok(Math.abs(found - distance) <= 1e-6 * distance, `${found} instead of ${distance}`);
        });
      }
      assert.ok(new Set(output.classes).size > 1, 'one class only: the comparison says little');
    });
  }

  it('gives the published check values', async () => {
    // Worked out from this project's own numbers: d² = (0.02 / 0.01)² + (0.06 / 0.02)² + (0.04 / 0.04)² = 14.
    const diagonal = [
      [1e-4, 0, 0],
      [0, 4e-4, 0],
      [0, 0, 16e-4],
    ];
    const output = await classify([{ key: '3', mean: [-0.1, -0.2, -0.3], covariance: diagonal }], [-0.08, -0.26, -0.34]);
    assert.ok(Math.abs((output.distances[0] ?? 0) - Math.sqrt(14)) < 1e-5);
    assert.deepEqual([...output.classes], [3]);
  });

  it('keeps a class at exactly five standard deviations and none beyond', async () => {
    const output = await classify([at('1', 0)], [5, 0, 0, 3, 4, 0, 5.000001, 0, 0]);
    assert.deepEqual([...output.classes], [1, 1, 0]);
  });

  it('takes the first of equally near classes in the order of the file', async () => {
    assert.deepEqual([...(await classify([at('2', 1), at('1', -1)], [0, 0, 0, -0.5, 0, 0])).classes], [2, 1]);
    assert.deepEqual([...(await classify([at('1', 1), at('2', -1)], [0, 0, 0])).classes], [1]);
  });

  it('reads covariances in the order b, g, r whatever the order of the means', async () => {
    const wide = [
      [4, 0, 0],
      [0, 1, 0],
      [0, 0, 0.25],
    ];
    assert.deepEqual([...(await classify([at('1', 0, wide)], [2, 0, 0, 0, 2, 0, 0, 0, 2])).distances], [1, 2, 4]);
  });

  it('has no background class, and names the others by their keys', async () => {
    const { manifest, family } = await importText(contrastDict([at('3', 1), at('0', 0), at('1', 2)]));
    assert.equal(family, 'GMM');
    assert.deepEqual(manifest.classes, [
      { index: 1, name: '1 layer' },
      { index: 3, name: '3 layers' },
    ]);
    assert.deepEqual(manifest.graph.outputs[1], { name: 'distance', type: 'float32', shape: ['N', 2] });
  });

  const text = (value: unknown): Buffer => Buffer.from(JSON.stringify(value));
  const entry = { contrast: { b: 0, g: 0, r: 0 }, covariance_matrix: IDENTITY };
  const negative = [
    [1, 2, 0],
    [2, 1, 0],
    [0, 0, 1],
  ];
  const refused: readonly (readonly [string, Buffer, RegExp])[] = [
    ['a key that is not a number', text({ one: entry }), /"one"/],
    ['a key with a leading zero', text({ '01': entry }), /"01"/],
    ['a negative key', text({ '-1': entry }), /"-1"/],
    ['a fraction for a key', text({ '1.5': entry }), /"1\.5"/],
    ['a key above 255', text({ 256: entry }), /"256"/],
    ['an odd key', Buffer.from(`{"__proto__": ${JSON.stringify(entry)}}`), /__proto__/],
    ['a key twice', contrastDict([at('1', 0), at('1', 1)]), /twice/],
    ['no classes', text({}), /no class/],
    ['the background alone', text({ 0: entry }), /no class/],
    ['a list', text([entry]), /object/],
    ['no contrast', text({ 1: { covariance_matrix: IDENTITY } }), /contrast/],
    ['a channel missing', text({ 1: { ...entry, contrast: { b: 0, g: 0 } } }), /contrast/],
    ['a contrast that is not finite', Buffer.from(JSON.stringify({ 1: entry }).replace('"b":0', '"b":NaN')), /contrast/],
    ['a covariance of two rows', text({ 1: { ...entry, covariance_matrix: IDENTITY.slice(1) } }), /covariance/],
    [
      'a covariance of text',
      text({
        1: {
          ...entry,
          covariance_matrix: [
            ['1', 0, 0],
            [0, 1, 0],
            [0, 0, 1],
          ],
        },
      }),
      /covariance/,
    ],
    ['a covariance with a negative direction', text({ 2: { ...entry, covariance_matrix: negative } }), /"2".*positive definite/],
    ['not JSON', Buffer.from('{'), /JSON/],
  ];
  for (const [name, bytes, message] of refused) {
    it(`is refused: ${name}`, async () => {
      assert.match(await rejectsBundle(importText(bytes), FILE), message);
    });
  }

  it('lists every entry that is wrong', async () => {
    assert.match(await rejectsBundle(importText(text({ a: entry, 2: {}, 3: entry })), FILE), /"a".*"2"|"2".*"a"/);
  });
});
