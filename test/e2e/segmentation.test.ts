import assert from 'node:assert/strict';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, test } from 'node:test';
import sharp from 'sharp';
import type { PredictOptions } from '../../clients/predict-request.ts';
import { collectFlakes, type PredictEvent, type Prediction } from '../../clients/prediction.ts';
import { ModelRole, Stage } from '../../proto/gen/maskterial/inference/v1/inference_service.ts';
import { writeFiles } from '../support/bundle-files.ts';
import { type NaiveFlake, naiveFlakes } from '../support/m2f/naive-flakes.ts';
import { m2fFiles, randomM2f, TINY } from '../support/m2f/random-model.ts';
import type { Image } from '../support/m2f/run-m2f.ts';
import { makePicture, writeGmmBundle } from '../support/made-up.ts';
import { decodeMask } from '../support/mask-decoder.ts';
import { standStill } from '../support/processes.ts';
import { runCommand } from '../support/run-command.ts';
import { isError } from '../support/service-errors.ts';
import { TestSystem } from '../support/system.ts';

const SEG = 'SEG_M2F_Tiny';
const CLS = 'CLS_GMM_Tiny';
const THRESHOLDS = { scoreThreshold: 0.25, minClassOccupancy: 0.4, sizeThreshold: 50 };
const PATCHES = [
  { x: 0, y: 0, width: 40, height: 90, contrast: -0.15 },
  { x: 40, y: 0, width: 35, height: 90, contrast: -0.3 },
];
const SIZE = { width: 130, height: 90 };
const model = randomM2f(TINY, 4);

const system = await TestSystem.start();
after(() => system[Symbol.asyncDispose]());
writeFiles(join(system.folder, 'seg'), m2fFiles(model));
const cls = await system.release(await writeGmmBundle(join(system.folder, 'cls'), { 1: -0.15, 2: -0.3 }), CLS);
const seg = await system.release(join(system.folder, 'seg'), SEG);
const picture = await makePicture(PATCHES, SIZE);

/** As the model sees it, and the class of each pixel by the patch that it lies in. */
async function decoded(): Promise<{ readonly image: Image; readonly classMap: Uint8Array }> {
  const data = await sharp(picture).raw().toBuffer();
  const classMap = new Uint8Array(SIZE.width * SIZE.height);
  for (const [index, { x, y, width, height }] of PATCHES.entries()) {
    for (let row = y; row < y + height; row += 1) {
      classMap.fill(index + 1, row * SIZE.width + x, row * SIZE.width + x + width);
    }
  }
  return { image: { ...SIZE, data }, classMap };
}

function assertFlakes({ flakes, summary }: Prediction, expected: readonly NaiveFlake[]): void {
  assert.ok(expected.length > 0, 'nothing to compare');
  assert.deepEqual(
    flakes.map(({ classIndex }) => classIndex),
    expected.map(({ classIndex }) => classIndex),
  );
  for (const [index, flake] of flakes.entries()) {
    const { score, mask } = expected[index] ?? assert.fail();
    assert.ok(Math.abs(flake.score - score) < 1e-3, `${flake.score} for ${score}`);
    const found = decodeMask(flake.mask ?? assert.fail());
    const wrong = found.reduce((sum, pixel, at) => sum + (pixel === mask[at] ? 0 : 1), 0);
    assert.ok(wrong <= 1, `flake ${index}: ${wrong} pixels of its mask differ`);
    assert.equal(flake.reference?.entropy, -1);
  }
  assert.deepEqual([summary.imageWidth, summary.imageHeight], [SIZE.width, SIZE.height]);
}

test('segmentation alone and with a classifier: published, promoted, predicted', async () => {
  const { image, classMap } = await decoded();
  const predict = async (options: PredictOptions): Promise<{ answer: Prediction; stages: Stage[] }> => {
    const events: PredictEvent[] = [];
    for await (const event of system.inference.predict(picture, { ...options, ...THRESHOLDS, includeReference: true })) {
      events.push(event);
    }
    const stages = events.flatMap((event) => (event.$case === 'progress' ? [event.value.stage] : []));
    return { answer: await collectFlakes(events), stages };
  };

  const alone = await predict({ segmentation: SEG });
  assertFlakes(alone.answer, await naiveFlakes(model, image, THRESHOLDS));
  assert.deepEqual(alone.stages, [Stage.STAGE_DECODE, Stage.STAGE_SEGMENT, Stage.STAGE_GEOMETRY]);
  const { summary } = alone.answer;
  assert.deepEqual([summary.background, summary.distinctColours], [undefined, undefined]);
  assert.ok(alone.answer.flakes.every(({ layerName, meanContrast }) => layerName === 'flake' && meanContrast === undefined));

  const both = await predict({ segmentation: SEG, classification: `${CLS}:1` });
  assertFlakes(both.answer, await naiveFlakes(model, image, THRESHOLDS, classMap));
  assert.ok(both.answer.flakes.length < alone.answer.flakes.length, 'the votes drop none');
  assert.ok(both.answer.flakes.every(({ meanContrast }) => meanContrast !== undefined));
  assert.deepEqual(both.stages, [
    Stage.STAGE_DECODE,
    Stage.STAGE_COLOURS,
    Stage.STAGE_CLASSIFY,
    Stage.STAGE_CLASS_MAP,
    Stage.STAGE_SEGMENT,
    Stage.STAGE_VOTE,
    Stage.STAGE_GEOMETRY,
  ]);
  for (const { models } of [both.answer.accepted, both.answer.summary]) {
    assert.deepEqual(
      models.map(({ role, model: name, manifestDigest, alias }) => ({ role, name, manifestDigest, alias })),
      [
        { role: ModelRole.MODEL_ROLE_SEGMENTATION, name: SEG, manifestDigest: seg.manifest?.digest, alias: 'production' },
        { role: ModelRole.MODEL_ROLE_CLASSIFICATION, name: CLS, manifestDigest: cls.manifest?.digest, alias: '' },
      ],
    );
  }
});

test('a model in a role that is not its kind is named with its field', async () => {
  await assert.rejects(system.inference.predictFlakes(picture, { segmentation: CLS, classification: SEG }), (error) => {
    isError('invalid-argument', 'INVALID_REQUEST')(error);
    const { violations } = error as { violations?: readonly { field: string }[] };
    assert.deepEqual(
      violations?.map(({ field }) => field),
      ['options.pipeline.segmentation_model', 'options.pipeline.classification_model'],
    );
    return true;
  });
});

test('an image without a background is refused only where a classifier judges it', async () => {
  const black = await sharp({ create: { ...SIZE, channels: 3, background: 'black' } })
    .png()
    .toBuffer();
  await system.inference.predictFlakes(black, { segmentation: SEG });
  const refused = system.inference.predictFlakes(black, { segmentation: SEG, classification: CLS });
  await assert.rejects(refused, isError('invalid-argument', 'NO_BACKGROUND'));
});

test('while a heavy run stands still, light ones are served', async () => {
  const { engines } = await system.inference.getStatus();
  const heavy = engines.find(({ heavyVersion }) => heavyVersion === `${SEG}:1`) ?? assert.fail('no heavy engine');
  assert.equal(engines.filter(({ heavyVersion }) => heavyVersion === '').length, 1);
  using standing = standStill(heavy.pid);
  const events = system.inference.predict(picture, { segmentation: SEG, classification: CLS })[Symbol.asyncIterator]();
  assert.equal((await events.next()).value?.$case, 'accepted');
  const { flakes } = await system.inference.predictFlakes(picture, { classification: CLS });
  assert.equal(flakes.length, 2);
  standing.goOn();
  let last: PredictEvent | undefined;
  for (let next = await events.next(); next.done !== true; next = await events.next()) {
    last = next.value;
  }
  assert.equal(last?.$case, 'summary');
});

test('the command line predicts a folder with both models: JSON, COCO and overlays', async () => {
  const scan = join(system.folder, 'scan');
  writeFiles(scan, { 'a.png': picture, 'b.png': await makePicture([], SIZE) });
  const [coco, overlay] = [join(system.folder, 'coco.json'), join(system.folder, 'overlay')];
  const { image, classMap } = await decoded();
  const expected = await naiveFlakes(model, image, THRESHOLDS, classMap);
  const command = `predict ${scan} --inference ${system.inference.address} --segmentation ${SEG} --classification ${CLS}`;
  const thresholds = '--score-threshold 0.25 --min-class-occupancy 0.4 --size-threshold 50';
  const outputs = `--json --coco ${coco} --overlay ${overlay} --layers 2`;
  const { code, out, err } = await runCommand(`${command} ${thresholds} ${outputs}`.split(' '));
  assert.equal(code, 0, err);
  const [first, second] = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { models: { role: string }[]; flakes: { class: number; area_px: number }[] });
  assert.deepEqual(
    first?.models.map(({ role }) => role),
    ['segmentation', 'classification'],
  );
  assert.deepEqual(
    first?.flakes.map((flake) => flake.class),
    expected.map(({ classIndex }) => classIndex),
  );
  assert.deepEqual(second?.flakes, []);
  const dataset = JSON.parse(await readFile(coco, 'utf8')) as { categories: { id: number }[]; annotations: { area: number }[] };
  assert.deepEqual(
    dataset.categories.map(({ id }) => id),
    [1, 2],
  );
  assert.deepEqual(
    dataset.annotations.map(({ area }) => area),
    first?.flakes.map((flake) => flake.area_px),
  );
  assert.equal((await readdir(overlay)).length, 2);
});
