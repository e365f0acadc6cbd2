import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { describe, it } from 'node:test';
import { type ImportedBundle, importBundle } from '../../../clients/import/import-bundle.ts';
import { openFolderSource } from '../../../clients/import/sources/folder-source.ts';
import { type CheckTensor, encodeCheck } from '../../../proto/wire/golden-check.ts';
import { encodeManifest } from '../../../proto/wire/manifest.ts';
import { PUBLISHED_L2, writeJoblib } from '../../support/bundle-joblib.ts';
import { MemorySource } from '../../support/bundle-memory-source.ts';
import { type AmmShape, ammFiles, contrastDict, mlpFiles, randomAmm, randomGmm, randomMlp } from '../../support/bundle-models.ts';
import { needsReferenceData, referenceData, referencePath } from '../../support/reference-data.ts';
import { checkOf, runCheckOf } from '../../support/run-check.ts';
import { isError } from '../../support/service-errors.ts';

const { signal } = new AbortController();
const importFiles = (files: Readonly<Record<string, Uint8Array>>): Promise<ImportedBundle> =>
  importBundle(new MemorySource(files), { signal });
const isRefused = isError('failed-precondition', 'GOLDEN_CHECK_FAILED');

const SHAPES: readonly AmmShape[] = [
  { classCount: 5, embeddingSize: 16, depth: 4, hasSpectralNorm: true },
  { classCount: 6, embeddingSize: 16, depth: 4, hasSpectralNorm: false },
  { classCount: 2, embeddingSize: 2, depth: 0, hasSpectralNorm: true },
  { classCount: 4, embeddingSize: 1, depth: 8, hasSpectralNorm: true },
  { classCount: 40, embeddingSize: 5, depth: 2, hasSpectralNorm: false },
];

/** Models by seed: another seed, other weights. */
const FAMILIES: Readonly<Record<string, (seed: number, shape: AmmShape) => Record<string, Buffer>>> = {
  AMM: (seed, shape) => ({ ...ammFiles(randomAmm({ ...shape, seed })) }),
  MLP: (seed, shape) => ({ ...mlpFiles(randomMlp({ ...shape, seed })) }),
  GMM: (seed, { classCount }) => ({
    'contrast_dict.json': contrastDict(
      randomGmm(
        Array.from({ length: classCount }, (_, index) => String(classCount - index)),
        seed,
      ),
    ),
  }),
  L2: (seed) => ({ 'model.joblib': writeJoblib({ ...PUBLISHED_L2, classes: [seed % 2, 1 - (seed % 2)], intercept: seed }) }),
};

describe('the golden check that an import writes', () => {
  for (const [family, make] of Object.entries(FAMILIES)) {
    for (const shape of SHAPES) {
      it(`is met by the import's own graph and by no other: ${family} ${JSON.stringify(shape)}`, async () => {
        for (const seed of [1, 2, 3]) {
          const bundle = await importFiles(make(seed, shape));
          await runCheckOf(bundle);
          const other = await importFiles(make(seed + 1, shape));
          await assert.rejects(runCheckOf(other, await checkOf(bundle)), isRefused);
        }
      });
    }

    it(`has the same bytes each time: ${family}`, async () => {
      const [first, second] = [
        await importFiles(make(1, SHAPES[0] ?? assert.fail())),
        await importFiles(make(1, SHAPES[0] ?? assert.fail())),
      ];
      assert.deepEqual(encodeManifest(first.manifest), encodeManifest(second.manifest));
      const check = (await checkOf(first)) ?? assert.fail('no check');
      assert.ok(encodeCheck(check).byteLength < 64 * 1024);
    });
  }

  it('asks for classes beside distances, of several kinds', async () => {
    for (const family of ['AMM', 'MLP', 'GMM']) {
      const check = await checkOf(await importFiles(FAMILIES[family]?.(1, SHAPES[0] ?? assert.fail()) ?? {}));
      const [values, classes] = check?.cases[0]?.outputs ?? [];
      assert.equal(values?.name, family === 'MLP' ? 'logit' : 'distance');
      assert.ok(distinct(classes) > 1, `${family}: one class only`);
    }
  });

  it('notices one weight that is another by a hundredth', async () => {
    const [shape = assert.fail()] = SHAPES;
    for (const [family, files] of [
      ['AMM', (scale: number) => ({ ...ammFiles(nudged(randomAmm(shape), scale)) })],
      ['MLP', (scale: number) => ({ ...mlpFiles(nudged(randomMlp(shape), scale)) })],
    ] as const) {
      const check = await checkOf(await importFiles(files(1)));
      await assert.rejects(runCheckOf(await importFiles(files(1.01)), check), isRefused, family);
    }
  });

  it('goes without classes where every colour lies on a border, and is left out where nothing is finite', async () => {
    const shape = { classCount: 3, embeddingSize: 2, depth: 0, hasSpectralNorm: false };
    const flat = { weight: [0, 0, 0, 0, 0, 0], bias: [1, 1, 1] };
    const bundle = await importFiles({ ...mlpFiles({ ...randomMlp(shape), last: flat }) });
    assert.deepEqual(
      (await checkOf(bundle))?.cases[0]?.outputs.map(({ name }) => name),
      ['logit'],
    );
    await runCheckOf(bundle);
    const huge = { weight: [3e38, 3e38, -3e38, 1, 1, 1], bias: [1, 1, 1] };
    const overflowing = await importFiles({ ...mlpFiles({ ...randomMlp(shape), last: huge }) });
    assert.equal(await checkOf(overflowing), undefined);
    assert.equal(overflowing.manifest.artifacts.length, 1);
  });
});

describe('the golden checks of the reference bundles', needsReferenceData, () => {
  const folders = (...parts: string[]): string[] => (referenceData === undefined ? [] : readdirSync(referencePath(...parts)));
  const bundles = [
    ...['AMM', 'GMM', 'MLP'].flatMap((family) =>
      folders('bundles', 'classification_models', family).map((name) => ['classification_models', family, name] as const),
    ),
    ...folders('bundles', 'postprocessing_models', 'L2').map((name) => ['postprocessing_models', 'L2', name] as const),
  ];
  for (const path of bundles) {
    it(`are met: ${path.join('/')}`, async () => {
      const source = await openFolderSource(referencePath('bundles', ...path), signal);
      try {
        const bundle = await importBundle(source, { signal });
        await runCheckOf(bundle);
        const [values, classes] = (await checkOf(bundle))?.cases[0]?.outputs ?? [];
        const answered = distinct(classes);
        assert.ok(values !== undefined && (path[1] === 'L2' || answered >= 2), `${answered} classes among the colours`);
      } finally {
        await source.close();
      }
    });
  }
});

function distinct(tensor: CheckTensor | undefined): number {
  const found = new Set<number>();
  tensor?.data.forEach((value: number | bigint) => found.add(Number(value)));
  return found.size;
}

/** One weight of the second layer moved by `scale` - 1. */
function nudged<M extends { layers: readonly { weight: readonly number[] }[] }>(model: M, scale: number): M {
  const layers = model.layers.map((layer, index) => {
    const weight = layer.weight.map((value, at) => (index === 1 && at === 0 ? Math.fround(value + (scale - 1)) : value));
    return { ...layer, weight };
  });
  return { ...model, layers };
}
