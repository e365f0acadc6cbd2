import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { EXIT } from '../../clients/cli/exit-codes.ts';
import type { PredictOptions } from '../../clients/predict-request.ts';
import { collectFlakes, type PredictEvent, type Prediction } from '../../clients/prediction.ts';
import { ModelRole, Stage } from '../../proto/gen/maskterial/inference/v1/inference_service.ts';
import { writeFiles } from '../support/bundle-files.ts';
import { PUBLISHED_L2, writeJoblib } from '../support/bundle-joblib.ts';
import { m2fFiles, randomM2f, TINY } from '../support/m2f/random-model.ts';
import { makePicture, writeGmmBundle } from '../support/made-up.ts';
import { runCommand } from '../support/run-command.ts';
import { isError } from '../support/service-errors.ts';
import { TestSystem } from '../support/system.ts';

const CLS = 'CLS_GMM_Test';
const SEG = 'SEG_M2F_Test';
const L2 = 'PP_L2_Test';
const SIZE = { width: 130, height: 90 };
const PATCHES = [
  { x: 20, y: 20, width: 30, height: 30, contrast: -0.15 },
  { x: 70, y: 10, width: 40, height: 70, contrast: -0.15 },
];

const system = await TestSystem.start();
after(() => system[Symbol.asyncDispose]());
const folder = (name: string): string => join(system.folder, name);
writeFiles(folder('seg'), m2fFiles(randomM2f(TINY, 4)));
writeFiles(folder('l2'), { 'model.joblib': writeJoblib(PUBLISHED_L2) });
// Everything is a false positive to this one.
writeFiles(folder('l2-never'), { 'model.joblib': writeJoblib({ ...PUBLISHED_L2, intercept: -100 }) });
const cls = await system.release(await writeGmmBundle(folder('cls'), { 1: -0.15, 2: -0.3 }), CLS);
const seg = await system.release(folder('seg'), SEG);
const l2 = await system.release(folder('l2'), L2);
const never = await system.publish(folder('l2-never'), L2);
const picture = await makePicture(PATCHES, SIZE);

async function predict(options: PredictOptions): Promise<{ answer: Prediction; stages: Stage[] }> {
  const events: PredictEvent[] = [];
  for await (const event of system.inference.predict(picture, { sizeThreshold: 50, ...options })) {
    events.push(event);
  }
  const stages = events.flatMap((event) => (event.$case === 'progress' ? [event.value.stage] : []));
  return { answer: await collectFlakes(events), stages };
}

test('flakes of a classifier are judged by their shape, and the answer names the version that did', async () => {
  const plain = await predict({ classification: CLS });
  const judged = await predict({ classification: CLS, postprocessing: L2 });
  assert.deepEqual(
    plain.answer.flakes.map(({ score }) => score),
    [1, 1],
  );
  // From the bottom up. Rectangles: outline 2 (w + h) / sqrt(w h) with sides one less than the pixels', solidity 1.
  const expected = [
    [29, 29],
    [39, 69],
  ].map(([w = 0, h = 0]) => {
    const [a = 0, b = 0] = PUBLISHED_L2.coefficients;
    const z = (a * 2 * (w + h)) / Math.sqrt(w * h) + b + PUBLISHED_L2.intercept;
    return Math.round(1000 * (1 - 1 / (1 + Math.exp(-z)))) / 1000;
  });
  assert.deepEqual(
    judged.answer.flakes.map(({ falsePositiveProbability }) => falsePositiveProbability),
    expected,
  );
  assert.deepEqual(
    judged.answer.flakes.map(({ score }) => score),
    expected.map((probability) => 1 - probability),
  );
  assert.deepEqual([plain.stages.at(-1), judged.stages.at(-1)], [Stage.STAGE_GEOMETRY, Stage.STAGE_POSTPROCESS]);
  const { models, timings } = judged.answer.summary;
  assert.deepEqual(judged.answer.accepted.models, models);
  assert.deepEqual(
    models.map(({ role, model, version, manifestDigest, family, layers }) => [
      role,
      `${model}:${version}`,
      manifestDigest,
      family,
      layers.length,
    ]),
    [
      [ModelRole.MODEL_ROLE_CLASSIFICATION, `${CLS}:${cls.version}`, cls.manifest?.digest, 'GMM', 2],
      [ModelRole.MODEL_ROLE_POSTPROCESSING, `${L2}:${l2.version}`, l2.manifest?.digest, 'L2', 0],
    ],
  );
  assert.equal(timings.at(-1)?.stage, Stage.STAGE_POSTPROCESS);
});

test('instances of a segmentation model are judged by their shape too, whatever the model was sure of', async () => {
  const thresholds = { scoreThreshold: 0.25, minClassOccupancy: 0 };
  const plain = await predict({ segmentation: SEG, ...thresholds });
  const judged = await predict({ segmentation: SEG, postprocessing: L2, ...thresholds });
  assert.ok(judged.answer.flakes.length > 0 && plain.answer.flakes.length >= judged.answer.flakes.length);
  const masks = new Set(plain.answer.flakes.map(({ mask }) => mask?.counts));
  for (const { mask, score, falsePositiveProbability } of judged.answer.flakes) {
    assert.ok(masks.has(mask?.counts));
    assert.ok(score > 0.25 && score === 1 - falsePositiveProbability);
    assert.equal(Math.round(falsePositiveProbability * 1000) / 1000, falsePositiveProbability);
  }
  const roles = judged.answer.summary.models.map(({ role }) => role);
  assert.deepEqual(roles, [ModelRole.MODEL_ROLE_SEGMENTATION, ModelRole.MODEL_ROLE_POSTPROCESSING]);
  const both = await predict({ segmentation: SEG, classification: CLS, postprocessing: L2, ...thresholds });
  assert.equal(both.answer.summary.models.length, 3);
  assert.equal(both.stages.at(-1), Stage.STAGE_POSTPROCESS);
});

test('a version named by its number is brought in, and one to which nothing is real leaves nothing', async () => {
  const { answer } = await predict({ classification: CLS, postprocessing: `${L2}:${never.version}`, scoreThreshold: 0 });
  assert.deepEqual([answer.flakes, answer.summary.models[1]?.version], [[], never.version]);
});

for (const [options, fields] of [
  [{ classification: L2 }, ['options.pipeline.classification_model']],
  [{ classification: CLS, postprocessing: CLS }, ['options.pipeline.postprocessing_model']],
  [{ segmentation: SEG, postprocessing: SEG }, ['options.pipeline.postprocessing_model']],
  [{ segmentation: L2, postprocessing: CLS }, ['options.pipeline.segmentation_model', 'options.pipeline.postprocessing_model']],
] as const) {
  test(`a model in the role of another kind is refused: ${JSON.stringify(options)}`, async () => {
    const error: unknown = await predict(options).then(
      () => undefined,
      (cause: unknown) => cause,
    );
    isError('invalid-argument', 'INVALID_REQUEST')(error);
    const { violations = [] } = Object(error);
    assert.deepEqual(
      Array.from(violations, ({ field }) => field),
      fields,
    );
    const [first] = fields;
    const role = /(\w+)_model$/.exec(first)?.[1] ?? '';
    assert.match(String(error), new RegExp(`expected a ${role} model, found \\w+`));
  });
}

test('the command line names both models, and checks a published version', async () => {
  const env = { MASKTERIAL_REGISTRY: system.registryAddress, MASKTERIAL_INFERENCE: system.inference.address };
  writeFiles(system.folder, { 'a.png': picture });
  const args = ['predict', folder('a.png'), '--classification', CLS, '--postprocessing', L2, '--json'];
  const predicted = await runCommand(args, env);
  assert.equal(predicted.code, EXIT.ok, predicted.err);
  const { models, flakes } = JSON.parse(predicted.out);
  assert.deepEqual(
    Array.from(models, ({ role, model }) => [role, model]),
    [
      ['classification', CLS],
      ['postprocessing', L2],
    ],
  );
  assert.equal(flakes.length, 2);

  const checked = await runCommand(['check', `${L2}@production`, '--timeout', '180'], env);
  assert.deepEqual(
    [checked.code, checked.out],
    [EXIT.ok, `${L2}:${l2.version}: loads, and meets its golden check: 64 values in 1 case\n`],
  );
  const json = await runCommand(['check', CLS, '--json', '--timeout', '180'], env);
  const found = JSON.parse(json.out);
  assert.deepEqual([found.checked, found.family, found.cases], [`${CLS}:${cls.version}`, 'GMM', 1]);
  const masks = await runCommand(['check', `${SEG}:${seg.version}`, '--timeout', '180'], env);
  assert.match(masks.out, /meets its golden check: \d+ values in 1 case/);
  assert.equal((await runCommand(['check', 'CLS_Nowhere', '--timeout', '180'], env)).code, EXIT.failed);
});
