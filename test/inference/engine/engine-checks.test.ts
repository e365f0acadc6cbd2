import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { Engine } from '../../../inference/engine/engine.ts';
import type { LoadFailure } from '../../../inference/engine/protocol.ts';
import type { DecodedImage } from '../../../inference/predict/decoder.ts';
import type { Stage } from '../../../inference/predict/stages.ts';
import { DEFAULT_THRESHOLDS } from '../../../inference/predict/thresholds.ts';
import type { ServableSpec } from '../../../inference/rollout/servable.ts';
import { type L2Model, PUBLISHED_L2, writeJoblib } from '../../support/bundle-joblib.ts';
import { ammFiles, contrastDict, mlpFiles, randomAmm, randomGmm, randomMlp } from '../../support/bundle-models.ts';
import { checkBytes, type ImportedVersion, importedVersion, servableOf, withCheck } from '../../support/imported-version.ts';
import { tinyServable } from '../../support/tiny-classifier.ts';

const folder = await mkdtemp(join(tmpdir(), 'engine-checks-'));
after(() => rm(folder, { recursive: true, force: true }));

const SHAPE = { classCount: 4, embeddingSize: 8, depth: 2, hasSpectralNorm: true };
const l2 = (model: Partial<L2Model> = {}): Promise<ImportedVersion> =>
  importedVersion({ 'model.joblib': writeJoblib({ ...PUBLISHED_L2, ...model }) });
const FAMILIES: Readonly<Record<string, (seed: number) => Promise<ImportedVersion>>> = {
  AMM: (seed) => importedVersion({ ...ammFiles(randomAmm({ ...SHAPE, seed })) }),
  MLP: (seed) => importedVersion({ ...mlpFiles(randomMlp({ ...SHAPE, seed })) }),
  GMM: (seed) => importedVersion({ 'contrast_dict.json': contrastDict(randomGmm(['1', '2', '3'], seed)) }),
  L2: (seed) => l2({ intercept: seed }),
};

/** A substrate with a darker square of 20 x 20 and a line of one pixel. */
function picture(): DecodedImage {
  const rgb = new Uint8Array(60 * 60 * 3).fill(160);
  for (let y = 10; y < 30; y += 1) {
    rgb.fill(120, (y * 60 + 10) * 3, (y * 60 + 30) * 3);
  }
  return { width: 60, height: 60, rgb };
}

function newEngine(): Engine {
  return new Engine({ decoder: { decode: async () => picture() } }, { threads: 1 });
}

async function failureOf(servable: ServableSpec): Promise<LoadFailure['error'] | undefined> {
  return (await newEngine().load([servable]))[0]?.error;
}

for (const [family, make] of Object.entries(FAMILIES)) {
  test(`a version is loaded that reproduces its check, and none that does not: ${family}`, async () => {
    const [good, other] = [await make(1), await make(2)];
    assert.equal(await failureOf(await servableOf(folder, `${family}:1`, good)), undefined);
    const error = await failureOf(await servableOf(folder, `${family}:2`, withCheck(good, checkBytes(other))));
    assert.deepEqual([error?.kind, error?.reason], ['failed-precondition', 'GOLDEN_CHECK_FAILED']);
    assert.match(
      error?.message ?? '',
      new RegExp(`^${family}:2: .*golden check: output (distance|logit|class|probability): \\d+ of`),
    );
  });
}

test('a version without a check is loaded as before', async () => {
  const bare = withCheck(await l2(), undefined);
  assert.equal(bare.manifest.artifacts.length, 1);
  assert.equal(await failureOf(await servableOf(folder, 'bare', bare)), undefined);
});

test('a check that cannot be read is one that failed', async () => {
  const error = await failureOf(await servableOf(folder, 'odd', withCheck(await l2(), Buffer.from('{"schemaVersion": 9}'))));
  assert.deepEqual([error?.reason, error?.message.startsWith('odd: ')], ['GOLDEN_CHECK_FAILED', true]);
});

test('a check that asks for what the graph has not is one that failed', async () => {
  const [amm, shape] = [await FAMILIES['AMM']?.(1), await l2()];
  const error = await failureOf(await servableOf(folder, 'foreign', withCheck(shape, checkBytes(amm ?? assert.fail()))));
  assert.match(`${error?.reason} ${error?.message}`, /GOLDEN_CHECK_FAILED foreign: .*the run of "colours" failed/);
});

test('a check whose bytes were changed is a corrupt file', async () => {
  const servable = await servableOf(folder, 'changed', await l2());
  const { digest = '' } = servable.manifest.artifacts.find(({ path }) => path === 'check.json') ?? {};
  await writeFile(join(folder, 'changed', 'check.json'), '{}');
  const [failure] = await newEngine().load([servable]);
  assert.deepEqual([failure?.error.reason, failure?.corrupt], ['DIGEST_MISMATCH', digest]);
});

test('a shape classifier judges what a classifier found, and its stage is told', async () => {
  const engine = newEngine();
  const classifier = await tinyServable(folder, 'classifier');
  const judge = await servableOf(folder, 'judge', await l2());
  assert.deepEqual(await engine.load([classifier, judge]), []);
  const predict = async (postprocessing: ServableSpec['id'] | undefined, scoreThreshold: number) => {
    const stages: Stage[] = [];
    const { flakes, timings } = await engine.predict(
      new Uint8Array(),
      { models: { classification: classifier.id, postprocessing } },
      {
        thresholds: { ...DEFAULT_THRESHOLDS, scoreThreshold },
        includeReference: true,
        classNames: new Map([[1, '1 layer']]),
      },
      (stage) => stages.push(stage),
      new AbortController().signal,
    );
    return { flakes, stages, timings };
  };
  const plain = await predict(undefined, 0.3);
  assert.deepEqual([plain.flakes.map(({ score }) => score), plain.stages.at(-1)], [[1], 'geometry']);
  // A square of 20 x 20: outline 76, area 361, which is all of its hull.
  const z = PUBLISHED_L2.coefficients.reduce((sum, value, at) => sum + value * (at === 0 ? 4 : 1), PUBLISHED_L2.intercept);
  const expected = Math.round(1000 * (1 - 1 / (1 + Math.exp(-z)))) / 1000;
  const judged = await predict(judge.id, 0.3);
  assert.deepEqual(
    judged.flakes.map(({ areaPx, falsePositiveProbability, score, reference }) => [
      areaPx,
      falsePositiveProbability,
      score,
      reference?.falsePositiveProbability,
    ]),
    [[400, expected, 1 - expected, expected]],
  );
  assert.equal(judged.stages.at(-1), 'postprocess');
  assert.deepEqual(
    judged.timings.map(({ stage }) => stage),
    judged.stages,
  );
  assert.deepEqual((await predict(judge.id, 1 - expected)).flakes, []);
});
