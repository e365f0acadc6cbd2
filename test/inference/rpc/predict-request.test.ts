import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePredictRequest } from '../../../inference/rpc/predict-request.ts';
import type { PredictOptions, PredictRequest } from '../../../proto/gen/maskterial/inference/v1/inference_service.ts';
import { PredictRequest as PredictRequestCodec, Priority } from '../../../proto/gen/maskterial/inference/v1/inference_service.ts';
import { hasViolationAt, isError } from '../../support/service-errors.ts';

const limits = { maxImageBytes: 100 };
const image = Buffer.from('picture');
const NAMES = { segmentationModel: '', classificationModel: '', postprocessingModel: '' };

function requestOf(options: Partial<PredictOptions> | undefined, bytes: Buffer = image): PredictRequest {
  return { image: bytes, options: options && { includeReference: false, priority: 0, ...options } };
}

/** As it comes from the wire. */
function parse(request: PredictRequest) {
  return parsePredictRequest(PredictRequestCodec.decode(PredictRequestCodec.encode(request).finish()), limits);
}

const classifier = (classificationModel: string) => ({ pipeline: { ...NAMES, classificationModel } });

test('what is left out has its default', () => {
  assert.deepEqual(parse(requestOf(classifier('CLS_GMM'))), {
    image,
    models: {
      segmentation: undefined,
      classification: { model: 'CLS_GMM', selector: { kind: 'alias', alias: 'production' } },
      postprocessing: undefined,
    },
    thresholds: { scoreThreshold: 0.3, minClassOccupancy: 0.5, sizeThreshold: 200 },
    umPerPx: undefined,
    includeReference: false,
    priority: 'normal',
  });
});

test('zero is a value, not a default', () => {
  const thresholds = { scoreThreshold: 0, minClassOccupancy: 0, sizeThreshold: 0 };
  const parsed = parse(requestOf({ ...classifier('M'), thresholds, umPerPx: 0.3844, includeReference: true }));
  assert.deepEqual(parsed.thresholds, thresholds);
  assert.deepEqual([parsed.umPerPx, parsed.includeReference], [0.3844, true]);
});

for (const [sent, priority] of [
  [Priority.PRIORITY_UNSPECIFIED, 'normal'],
  [Priority.PRIORITY_HIGH, 'high'],
  [Priority.PRIORITY_LOW, 'low'],
] as const) {
  test(`priority ${sent} is ${priority}`, () => {
    assert.equal(parse(requestOf({ ...classifier('M'), priority: sent })).priority, priority);
  });
}

for (const [text, selector] of [
  ['M', { kind: 'alias', alias: 'production' }],
  ['M@canary', { kind: 'alias', alias: 'canary' }],
  ['M:12', { kind: 'version', version: 12 }],
  ['M@latest', { kind: 'latest' }],
] as const) {
  test(`the classifier ${text}`, () => {
    assert.deepEqual(parse(requestOf(classifier(text))).models.classification, { model: 'M', selector });
  });
}

test('every violation is listed at once, with its field', () => {
  const request = requestOf(
    {
      pipeline: { segmentationModel: '../x', classificationModel: 'M@Latest', postprocessingModel: 'M:0' },
      thresholds: { scoreThreshold: 1.5, minClassOccupancy: Number.NaN, sizeThreshold: 3 },
      umPerPx: -1,
    },
    Buffer.alloc(0),
  );
  assert.throws(
    () => parse(request),
    hasViolationAt(
      'INVALID_REQUEST',
      'image',
      'options.pipeline.segmentation_model',
      'options.pipeline.classification_model',
      'options.pipeline.postprocessing_model',
      'options.thresholds.score_threshold',
      'options.thresholds.min_class_occupancy',
      'options.um_per_px',
    ),
  );
});

for (const [what, options] of [
  ['no options', undefined],
  ['no pipeline', {}],
  ['an empty pipeline', { pipeline: NAMES }],
  ['postprocessing alone', { pipeline: { ...NAMES, postprocessingModel: 'P' } }],
] as const) {
  test(`${what} is no pipeline`, () => {
    assert.throws(() => parse(requestOf(options)), hasViolationAt('INVALID_REQUEST', 'options.pipeline'));
  });
}

for (const [what, pipeline, models] of [
  ['segmentation', { ...NAMES, segmentationModel: 'S:1' }, { segmentation: 'S' }],
  ['both', { ...NAMES, segmentationModel: 'S', classificationModel: 'C@canary' }, { segmentation: 'S', classification: 'C' }],
  [
    'postprocessing',
    { ...NAMES, classificationModel: 'C', postprocessingModel: 'P:2' },
    { classification: 'C', postprocessing: 'P' },
  ],
] as const) {
  test(`a pipeline may have ${what}`, () => {
    const found = parse(requestOf({ pipeline })).models;
    const names = Object.entries(found).flatMap(([role, reference]) =>
      reference === undefined ? [] : [[role, reference.model]],
    );
    assert.deepEqual(Object.fromEntries(names), models);
  });
}

test('an image over the limit is refused with both sizes; one at the limit is not', () => {
  assert.equal(parse(requestOf(classifier('M'), Buffer.alloc(100))).image.byteLength, 100);
  assert.throws(
    () => parse(requestOf(classifier('M'), Buffer.alloc(101))),
    (error) => {
      isError('invalid-argument', 'IMAGE_TOO_LARGE')(error);
      assert.deepEqual((error as { metadata?: unknown }).metadata, { bytes: '101', max_bytes: '100' });
      return true;
    },
  );
});
