import assert from 'node:assert/strict';
import { test } from 'node:test';
import { paintClassMap } from '../../../inference/predict/class-runs.ts';
import type { PixelClassifier } from '../../../inference/predict/classifier.ts';
import { ColourIndex } from '../../../inference/predict/colours.ts';
import type { DecodedImage, Decoder } from '../../../inference/predict/decoder.ts';
import { type PredictDeps, type PredictSettings, predict } from '../../../inference/predict/predict.ts';
import type { Segmenter } from '../../../inference/predict/segmenter.ts';
import type { Stage } from '../../../inference/predict/stages.ts';
import { DEFAULT_THRESHOLDS } from '../../../inference/predict/thresholds.ts';
import { isServiceError, ServiceError } from '../../../proto/wire/errors.ts';

const colourIndex = new ColourIndex();
const SUBSTRATE = [140, 120, 160];
const THIN = [130, 100, 150];
const THICK = [120, 80, 140];

/** 1 where the green contrast is below -0.1, 2 below -0.25. */
class GreenClassifier implements PixelClassifier {
  readonly asked: number[][] = [];
  classify(contrast: Float32Array, count: number): Uint8Array {
    this.asked.push([...contrast]);
    return Uint8Array.from({ length: count }, (_, row) => {
      const green = contrast[row * 3 + 1] ?? 0;
      return green < -0.25 ? 2 : green < -0.1 ? 1 : 0;
    });
  }
}

class FixedDecoder implements Decoder {
  readonly #image: DecodedImage;
  constructor(image: DecodedImage) {
    this.#image = image;
  }
  decode(): Promise<DecodedImage> {
    return Promise.resolve(this.#image);
  }
}

function paint(width: number, height: number, colourOf: (x: number, y: number) => readonly number[]): DecodedImage {
  const rgb = new Uint8Array(width * height * 3);
  for (let at = 0; at < width * height; at++) {
    rgb.set(colourOf(at % width, Math.floor(at / width)), at * 3);
  }
  return { width, height, rgb };
}

const SETTINGS: PredictSettings = {
  thresholds: { ...DEFAULT_THRESHOLDS, sizeThreshold: 50 },
  includeReference: false,
  classNames: new Map([
    [1, 'thin'],
    [2, 'thick'],
  ]),
};

/** Two thin squares above one another, the lower one with a thick square within. */
const MICROGRAPH = paint(60, 50, (x, y) => {
  const isIn = (left: number, top: number, size: number) => x >= left && x < left + size && y >= top && y < top + size;
  return isIn(40, 30, 8) ? THICK : isIn(5, 4, 10) || isIn(35, 25, 18) ? THIN : SUBSTRATE;
});

async function run(image: DecodedImage, deps: Partial<PredictDeps> = {}, settings = SETTINGS) {
  const stages: Stage[] = [];
  const all = { decoder: new FixedDecoder(image), classifier: new GreenClassifier(), colourIndex, ...deps };
  const prediction = await predict(new Uint8Array(), all, settings, (stage) => stages.push(stage), new AbortController().signal);
  return { prediction, stages };
}

test('image in, flakes out: classes ascending, from the bottom upwards, holes filled', async () => {
  const classifier = new GreenClassifier();
  let nowMs = 0;
  const clock = () => nowMs++;
  const { prediction, stages } = await run(MICROGRAPH, { classifier, clock });
  assert.deepEqual(stages, ['decode', 'colours', 'classify', 'class-map', 'geometry']);
  assert.deepEqual(
    prediction.timings,
    stages.map((stage) => ({ stage, durationMs: 1 })),
  );
  assert.deepEqual(prediction.background, { b: 160, g: 120, r: 140 });
  assert.equal(prediction.distinctColours, 3);
  assert.deepEqual([classifier.asked.length, classifier.asked[0]?.length], [1, 9]);
  assert.deepEqual(
    prediction.flakes.map(({ layerName, areaPx, box, score }) => ({ layerName, areaPx, box, score })),
    [
      { layerName: 'thin', areaPx: 324, box: { x: 35, y: 25, width: 18, height: 18 }, score: 1 },
      { layerName: 'thin', areaPx: 100, box: { x: 5, y: 4, width: 10, height: 10 }, score: 1 },
      { layerName: 'thick', areaPx: 64, box: { x: 40, y: 30, width: 8, height: 8 }, score: 1 },
    ],
  );
  const map = paintClassMap(prediction.classMasks, 60, 50);
  assert.deepEqual([map[4 * 60 + 5], map[30 * 60 + 40], map[0]], [1, 2, 0]);
});

test('the mean contrast is taken over the final mask, blue, green, red', async () => {
  const { prediction } = await run(MICROGRAPH);
  const [filled, , thick] = prediction.flakes;
  const half = (value: number) => Math.round(value * 4096) / 4096;
  assert.ok(Math.abs((thick?.meanContrast?.b ?? NaN) - half(-20 / 160)) < 1e-3);
  assert.ok(Math.abs((thick?.meanContrast?.g ?? NaN) - half(-40 / 120)) < 1e-3);
  assert.ok(Math.abs((thick?.meanContrast?.r ?? NaN) - half(-20 / 140)) < 1e-3);
  const thinShare = (324 - 64) / 324;
  assert.ok(Math.abs((filled?.meanContrast?.g ?? NaN) - (-20 / 120) * (2 - thinShare)) < 1e-3);
});

test('a size threshold of 0 on an image without flakes gives none', async () => {
  const thresholds = { ...SETTINGS.thresholds, sizeThreshold: 0 };
  const { prediction } = await run(
    paint(30, 20, () => SUBSTRATE),
    {},
    { ...SETTINGS, thresholds },
  );
  assert.deepEqual([prediction.flakes, prediction.classMasks], [[], []]);
});

test('the size threshold is met by a flake of exactly that size', async () => {
  const sizes = async (sizeThreshold: number) => {
    const { prediction } = await run(MICROGRAPH, {}, { ...SETTINGS, thresholds: { ...SETTINGS.thresholds, sizeThreshold } });
    return prediction.flakes.map(({ areaPx }) => areaPx);
  };
  assert.deepEqual(await sizes(64), [324, 100, 64]);
  assert.deepEqual(await sizes(65), [324, 100]);
});

test('a black image has no background', async () => {
  await assert.rejects(
    run(paint(8, 8, () => [0, 0, 0])),
    (error) => isServiceError(error, 'invalid-argument') && error.reason === 'NO_BACKGROUND',
  );
});

test('two predictions at once on one colour index do not see one another', async () => {
  const slow: PixelClassifier = {
    classify: async (contrast, count) => {
      await Promise.resolve();
      return new GreenClassifier().classify(contrast, count);
    },
  };
  const other = paint(60, 50, () => SUBSTRATE);
  const [alone, ...both] = await Promise.all([
    run(MICROGRAPH),
    run(MICROGRAPH, { classifier: slow }),
    run(other, { classifier: slow }),
  ]);
  assert.deepEqual(both[0]?.prediction.flakes, alone.prediction.flakes);
  assert.deepEqual(both[1]?.prediction.flakes, []);
});

for (const last of ['decode', 'colours', 'classify', 'class-map', 'geometry'] as const) {
  test(`aborted during ${last}: no later stage begins`, async () => {
    const aborter = new AbortController();
    const begun: Stage[] = [];
    const deps = { decoder: new FixedDecoder(MICROGRAPH), classifier: new GreenClassifier(), colourIndex };
    const outcome = predict(
      new Uint8Array(),
      deps,
      SETTINGS,
      (stage) => {
        begun.push(stage);
        if (stage === last) {
          aborter.abort(new ServiceError('deadline-exceeded', 'DEADLINE_EXCEEDED', 'too late'));
        }
      },
      aborter.signal,
    );
    await (last === 'geometry' ? outcome : assert.rejects(outcome, (error) => isServiceError(error, 'deadline-exceeded')));
    assert.equal(begun.at(-1), last);
  });
}

test('what arrives between two stages is heard: a cancel stops the next one', async () => {
  const aborter = new AbortController();
  const begun: Stage[] = [];
  let turns = 0;
  const hearEvents = async () => {
    turns += 1;
    if (turns === 3) {
      aborter.abort(new ServiceError('cancelled', 'CANCELLED', 'enough'));
    }
  };
  const deps = { decoder: new FixedDecoder(MICROGRAPH), classifier: new GreenClassifier(), colourIndex, hearEvents };
  const outcome = predict(new Uint8Array(), deps, SETTINGS, (stage) => begun.push(stage), aborter.signal);
  await assert.rejects(outcome, (error) => isServiceError(error, 'cancelled'));
  assert.deepEqual(begun, ['decode', 'colours']);
});

for (const [what, deps, image] of [
  ['a classifier that gives too few classes', { classifier: { classify: () => new Uint8Array(1) } }, MICROGRAPH],
  ['a decoder that gives grey pixels', {}, { ...MICROGRAPH, rgb: MICROGRAPH.rgb.subarray(0, 3000) }],
] satisfies [string, Partial<PredictDeps>, DecodedImage][]) {
  test(`${what} is an internal error, not a wrong answer`, async () => {
    await assert.rejects(run(image, deps), (error) => isServiceError(error, 'internal'));
  });
}

test("the decoder's own error comes out as it is", async () => {
  const failure = new ServiceError('invalid-argument', 'UNDECODABLE_IMAGE', 'found text');
  await assert.rejects(run(MICROGRAPH, { decoder: { decode: () => Promise.reject(failure) } }), failure);
});

/** Two squares of 32 pixels, the second one surer than the first, and a third query that is not sure at all. */
const SEGMENTER: Segmenter = {
  segment: async () => {
    const maskLogits = new Float32Array(3 * 16 * 32).fill(-5);
    for (const [query, left] of [2, 8, 2].entries()) {
      for (let row = 2; row < 10; row++) {
        maskLogits.fill(5, query * 512 + row * 32 + left, query * 512 + row * 32 + left + 8);
      }
    }
    return { queries: 3, classLogits: Float32Array.of(1, 0, 2, 0, -9, 0), maskLogits, height: 16, width: 32 };
  },
};
/** The substrate on the right; on the left what is thin, and beside it what is thick. */
const HALVES = paint(128, 64, (x) => (x >= 64 ? SUBSTRATE : x < 40 ? THIN : THICK));

test('a segmenter alone: every mask that is kept is of class 1, the surest first, and no contrast is told', async () => {
  const { prediction, stages } = await run(
    paint(128, 64, () => [0, 0, 0]),
    { classifier: undefined, segmenter: SEGMENTER },
    { ...SETTINGS, includeReference: true },
  );
  assert.deepEqual(stages, ['decode', 'segment', 'geometry']);
  assert.deepEqual([prediction.background, prediction.distinctColours, prediction.classMasks], [undefined, undefined, []]);
  assert.deepEqual(
    prediction.flakes.map(({ classIndex, box, meanContrast }) => [classIndex, box.x, meanContrast]),
    [
      [1, 32, undefined],
      [1, 8, undefined],
    ],
  );
  const [first] = prediction.flakes;
  assert.ok(first !== undefined && first.reference !== undefined);
  assert.equal(first.falsePositiveProbability, 1 - first.score);
  const { size, entropy, meanContrast } = first.reference;
  assert.ok(size < first.areaPx, 'the size is the area of the outline');
  assert.deepEqual([entropy, meanContrast], [-1, [0, 0, 0]]);
});

test('a segmenter and a classifier: each mask is of the class that most of it has, or goes', async () => {
  const { prediction, stages } = await run(HALVES, { segmenter: SEGMENTER });
  assert.deepEqual(stages, ['decode', 'colours', 'classify', 'class-map', 'segment', 'vote', 'geometry']);
  assert.deepEqual(
    prediction.flakes.map(({ classIndex, layerName, box }) => [classIndex, layerName, box.x]),
    [
      [2, 'thick', 32],
      [1, 'thin', 8],
    ],
  );
  assert.ok(prediction.flakes.every(({ meanContrast }) => meanContrast !== undefined && meanContrast.g < -0.1));
  const strict = { ...SETTINGS, thresholds: { ...SETTINGS.thresholds, minClassOccupancy: 0.99 } };
  const { prediction: few } = await run(HALVES, { segmenter: SEGMENTER }, strict);
  assert.deepEqual(
    few.flakes.map(({ box }) => box.x),
    [8],
  );
});

test('an image that a classifier cannot judge is refused before the segmenter looks at it', async () => {
  let asked = 0;
  const segmenter: Segmenter = {
    segment: (image) => {
      asked += 1;
      return SEGMENTER.segment(image);
    },
  };
  const black = paint(128, 64, () => [0, 0, 0]);
  await assert.rejects(run(black, { segmenter }), (error) => isServiceError(error, 'invalid-argument'));
  assert.equal(asked, 0);
});

test('a cancel between two masks ends the work', async () => {
  const aborter = new AbortController();
  let turns = 0;
  const hearEvents = async () => {
    turns += 1;
    // Before decoding, before segmenting, before each of two masks.
    if (turns === 4) {
      aborter.abort(new ServiceError('cancelled', 'CANCELLED', 'enough'));
    }
  };
  const deps = { decoder: new FixedDecoder(paint(128, 64, () => THIN)), segmenter: SEGMENTER, colourIndex, hearEvents };
  const outcome = predict(new Uint8Array(), deps, SETTINGS, () => undefined, aborter.signal);
  await assert.rejects(outcome, (error) => isServiceError(error, 'cancelled'));
});
