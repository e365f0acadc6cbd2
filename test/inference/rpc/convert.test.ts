import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Flake } from '../../../inference/predict/flake.ts';
import { flakeEvent, progressEvent, toRequestedOptions, toSummary, toUsedModel } from '../../../inference/rpc/convert.ts';
import { ModelRole, PredictResponse, Stage, Summary } from '../../../proto/gen/maskterial/inference/v1/inference_service.ts';
import { makeVersion, ref } from '../../support/made-version.ts';

const bare: Flake = {
  classIndex: 2,
  layerName: '2 layers',
  areaPx: 300,
  centre: { x: 10.5, y: 20.25 },
  box: { x: 1, y: 2, width: 30, height: 40 },
  maxSidePx: 41.5,
  minSidePx: 29.5,
  score: 0.75,
  falsePositiveProbability: 0.25,
  mask: { height: 100, width: 200, counts: 'abc0' },
};
const full: Flake = {
  ...bare,
  areaUm2: 75,
  maxSideUm: 20.75,
  minSideUm: 14.75,
  meanContrast: { b: -0.1, g: -0.2, r: 0.3 },
  reference: {
    thickness: 2,
    size: 300,
    meanContrast: [0, -1, 2],
    center: [10, 20],
    maxSidelength: 41,
    minSidelength: 29,
    aspectRatio: 1.41,
    falsePositiveProbability: 0.25,
    entropy: 0.5,
    bbox: [1, 2, 29, 39],
  },
};

/** What a client reads. */
function sent(flake: Flake, index: number) {
  const { event } = PredictResponse.decode(PredictResponse.encode(flakeEvent(flake, index)).finish());
  assert.equal(event?.$case, 'flake');
  return event?.$case === 'flake' ? event.value : assert.fail();
}

test('every field of a flake arrives', () => {
  const { reference, ...own } = full;
  assert.deepEqual(sent(full, 7), { ...own, index: 7, reference: { ...reference, size: 300n } });
});

test('what a flake has not is absent, not zero', () => {
  const found = sent(bare, 0);
  for (const field of ['areaUm2', 'maxSideUm', 'minSideUm', 'meanContrast', 'reference'] as const) {
    assert.equal(found[field], undefined, field);
  }
});

test('a zero that is there stays there', () => {
  const found = sent({ ...bare, areaUm2: 0, meanContrast: { b: 0, g: 0, r: 0 } }, 0);
  assert.deepEqual([found.areaUm2, found.meanContrast], [0, { b: 0, g: 0, r: 0 }]);
});

for (const [stage, code] of [
  ['decode', Stage.STAGE_DECODE],
  ['colours', Stage.STAGE_COLOURS],
  ['classify', Stage.STAGE_CLASSIFY],
  ['class-map', Stage.STAGE_CLASS_MAP],
  ['geometry', Stage.STAGE_GEOMETRY],
] as const) {
  test(`the stage ${stage}`, () => {
    assert.deepEqual(progressEvent(stage), { event: { $case: 'progress', value: { stage: code } } });
  });
}

for (const [text, alias] of [
  ['M', 'production'],
  ['M@canary', 'canary'],
  ['M@latest', 'latest'],
  ['M:3', ''],
] as const) {
  test(`a model named ${text} was used`, () => {
    const { key } = makeVersion('M', 3);
    assert.deepEqual(
      toUsedModel({ role: 'classification', reference: ref(text), key, family: 'GMM', classes: [{ index: 1, name: '1 layer' }] }),
      {
        role: ModelRole.MODEL_ROLE_CLASSIFICATION,
        model: 'M',
        version: 3,
        manifestDigest: key.manifest.digest,
        alias,
        family: 'GMM',
        layers: [{ classIndex: 1, name: '1 layer' }],
      },
    );
  });
}

const thresholds = { scoreThreshold: 0, minClassOccupancy: 0.5, sizeThreshold: 0 };
const answer = {
  width: 1920,
  height: 1200,
  background: { b: 100.5, g: 110, r: 120 },
  distinctColours: 0,
  flakes: [bare, full],
  timings: [
    { stage: 'decode', durationMs: 12.5 },
    { stage: 'geometry', durationMs: 1001 },
  ],
} as const;

test('the summary says what was done with what, the queue first', () => {
  const models = [
    toUsedModel({ role: 'classification', reference: ref('M'), key: makeVersion('M', 3).key, family: 'GMM', classes: [] }),
  ];
  const summary = toSummary(answer, { thresholds, umPerPx: 0.3844, requestId: 'r1', queueMs: 2.5 }, models);
  const received = Summary.decode(Summary.encode(summary).finish());
  assert.deepEqual(received, {
    flakeCount: 2,
    imageWidth: 1920,
    imageHeight: 1200,
    thresholds,
    umPerPx: 0.3844,
    models,
    timings: [
      { stage: Stage.STAGE_QUEUE, duration: { seconds: 0n, nanos: 2_500_000 } },
      { stage: Stage.STAGE_DECODE, duration: { seconds: 0n, nanos: 12_500_000 } },
      { stage: Stage.STAGE_GEOMETRY, duration: { seconds: 1n, nanos: 1_000_000 } },
    ],
    background: answer.background,
    distinctColours: 0,
    requestId: 'r1',
  });
});

test('a scale that was not given is not in the summary', () => {
  const summary = toSummary(answer, { thresholds, umPerPx: undefined, requestId: '', queueMs: 0 }, []);
  assert.equal(Summary.decode(Summary.encode(summary).finish()).umPerPx, undefined);
});

test('the numbers of a request keep their absence', () => {
  const absent = { scoreThreshold: undefined, minClassOccupancy: undefined, sizeThreshold: undefined, umPerPx: undefined };
  assert.deepEqual(toRequestedOptions(undefined), absent);
  assert.deepEqual(toRequestedOptions({ includeReference: false, priority: 0 }), absent);
  assert.deepEqual(toRequestedOptions({ includeReference: false, priority: 0, thresholds, umPerPx: 0 }), {
    ...thresholds,
    umPerPx: 0,
  });
});
