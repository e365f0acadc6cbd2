import assert from 'node:assert/strict';
import { copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { Flake } from '../../proto/gen/maskterial/inference/v1/flake.ts';
import { peakBytes } from '../../inference/engine/heavy-model.ts';
import { residentBytes } from '../../inference/engine/memory-watch.ts';
import type { PredictOptions } from '../../clients/predict-request.ts';
import { writeCheckpoint } from '../support/m2f/checkpoint.ts';
import { LIMITS, readGolden } from '../support/m2f/goldens.ts';
import { synthFullPath, synthFullTensors } from '../support/m2f/synth-full.ts';
import { openPublishable } from '../../clients/cli/open-publishable.ts';
import { needsReferenceData, referencePath } from '../support/reference-data.ts';
import { TestSystem } from '../support/system.ts';

const SEG = 'SEG_M2F_SynthFull';
const CLS = 'CLS_AMM_GrapheneH';
const CALL_MS = 300_000;

describe('a served Mask2Former model of the published size', needsReferenceData, () => {
  let system: TestSystem;
  let path = '';
  before(async () => {
    system = await TestSystem.start({ env: { HEAVY_WARM_UP_PIXELS: '2304000' } });
    const bundle = join(system.folder, SEG);
    mkdirSync(bundle);
    copyFileSync(synthFullPath('config.yaml'), join(bundle, 'config.yaml'));
    writeCheckpoint(join(bundle, 'model_final.pth'), synthFullTensors());
    await system.release(referencePath('bundles', 'classification_models', 'AMM', 'GrapheneH'), CLS);
    await system.promote(await system.publish(bundle, SEG));
    const { image } = JSON.parse(readFileSync(referencePath('m2f', 'goldens', 'SynthFull_full', 'meta.json'), 'utf8')) as {
      image: string;
    };
    path = referencePath('images', image);
  });
  after(() => system[Symbol.asyncDispose]());

  const predict = async (options: PredictOptions): Promise<readonly Flake[]> =>
    (await system.inference.predictFlakes({ path }, { timeoutMs: CALL_MS, scoreThreshold: 0, ...options })).flakes;

  it("gives the reference's scores on a whole image", async () => {
    const { instances } = await readGolden('SynthFull_full');
    const expected = instances.filter(({ area }) => area > 0);
    const flakes = await predict({ segmentation: SEG, sizeThreshold: 0 });
    assert.equal(flakes.length, expected.length);
    const worst = Math.max(...expected.map(({ score }, index) => Math.abs(score - (flakes[index]?.score ?? Number.NaN))));
    assert.ok(worst <= LIMITS.SynthFull_full.score, `scores differ by ${worst}`);
  });

  it('two images at once with a classifier, and light ones all the while: all are answered, in the memory that was counted', async () => {
    const { engines } = await system.inference.getStatus();
    const heavy = engines.find(({ heavyVersion }) => heavyVersion !== '') ?? assert.fail('no heavy engine');
    let isOver = false;
    const both = Promise.all([1, 2].map(() => predict({ segmentation: SEG, classification: CLS }))).finally(() => {
      isOver = true;
    });
    let light = 0;
    let most = 0;
    while (!isOver) {
      await predict({ classification: CLS });
      light += 1;
      most = Math.max(most, residentBytes(heavy.pid) ?? 0);
    }
    const [one, other] = await both;
    assert.deepEqual(one, other);
    assert.ok(light > 2, `${light} light predictions`);
    const publishable = await openPublishable(join(system.folder, SEG), new AbortController().signal);
    await publishable.close();
    const counted = peakBytes(publishable.manifest);
    assert.ok(most > counted / 4 && most <= counted, `${most} bytes, counted were ${counted}`);
    const left = (await system.inference.getStatus()).engines;
    assert.ok(left.every(({ restarts }) => restarts === 0));
  });
});
