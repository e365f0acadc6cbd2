import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import sharp from 'sharp';
import type { PredictOptions } from '../../clients/inference-client.ts';
import { NO_RETRY } from '../../clients/retry.ts';
import type { ErrorKind, ErrorReason, ServiceError } from '../../proto/wire/errors.ts';
import { makePicture, writeGmmBundle } from '../support/made-up.ts';
import { writePng } from '../support/png.ts';
import { rawStream } from '../support/raw-stream.ts';
import { rejection } from '../support/service-errors.ts';
import { TestSystem } from '../support/system.ts';

const MODEL = 'CLS_GMM_Test';
const PATCH = { x: 50, y: 60, width: 40, height: 30, contrast: -0.15 };

/** What a request gets that cannot be answered: kind, reason, and what its message must name. */
interface Row {
  readonly what: string;
  readonly image?: () => Promise<Uint8Array> | Uint8Array;
  readonly options?: PredictOptions;
  readonly kind: ErrorKind;
  readonly reason: ErrorReason;
  readonly names?: readonly RegExp[];
  readonly fields?: readonly string[];
}

const ROWS: readonly Row[] = [
  { what: 'no bytes', image: () => new Uint8Array(), kind: 'invalid-argument', reason: 'INVALID_REQUEST', fields: ['image'] },
  {
    what: 'bytes that are no image',
    image: () => Buffer.from('%PDF-1.7 this is not a picture'),
    kind: 'invalid-argument',
    reason: 'UNDECODABLE_IMAGE',
    names: [/255044462d312e37/],
  },
  {
    what: 'a truncated image',
    image: async () => (await makePicture([PATCH])).subarray(0, 300),
    kind: 'invalid-argument',
    reason: 'UNDECODABLE_IMAGE',
  },
  {
    what: 'a format that no microscope writes',
    image: () => Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'),
    kind: 'invalid-argument',
    reason: 'UNDECODABLE_IMAGE',
  },
  {
    what: 'a PNG of 60000 x 60000 pixels in a few bytes',
    image: () => writePng({ width: 60_000, height: 60_000, depth: 8, colour: 'rgb', rows: [[0, 0, 0]] }),
    kind: 'invalid-argument',
    reason: 'IMAGE_TOO_LARGE',
    names: [/3600000000/, /50000000/],
  },
  {
    what: 'an encoded image over the byte limit',
    image: () => Buffer.alloc(1024 * 1024 + 1),
    kind: 'invalid-argument',
    reason: 'IMAGE_TOO_LARGE',
    names: [/1048577/, /1048576/],
  },
  {
    what: 'an image without substrate in one channel',
    image: () =>
      sharp({ create: { width: 64, height: 64, channels: 3, background: { r: 255, g: 120, b: 130 } } })
        .png()
        .toBuffer(),
    kind: 'invalid-argument',
    reason: 'NO_BACKGROUND',
    names: [/channel r/],
  },
  {
    what: 'an unknown model',
    options: { classification: 'CLS_GMM_Tset' },
    kind: 'not-found',
    reason: 'MODEL_NOT_FOUND',
    names: [/CLS_GMM_Tset/, /CLS_GMM_Test/],
  },
  {
    what: 'an unknown alias',
    options: { classification: `${MODEL}@nightly` },
    kind: 'not-found',
    reason: 'ALIAS_NOT_FOUND',
    names: [/nightly/],
  },
  {
    what: 'an unknown version',
    options: { classification: `${MODEL}:99` },
    kind: 'not-found',
    reason: 'VERSION_NOT_FOUND',
    names: [/99/],
  },
  {
    what: 'no model at all',
    options: { classification: '' },
    kind: 'invalid-argument',
    reason: 'INVALID_REQUEST',
    fields: ['options.pipeline'],
  },
  {
    what: 'everything wrong at once',
    image: () => new Uint8Array(),
    options: { classification: 'no such name!', scoreThreshold: 1.5, minClassOccupancy: -0.1, umPerPx: Number.NaN },
    kind: 'invalid-argument',
    reason: 'INVALID_REQUEST',
    fields: [
      'image',
      'options.thresholds.score_threshold',
      'options.thresholds.min_class_occupancy',
      'options.um_per_px',
      'options.pipeline.classification_model',
    ],
  },
];

let system: TestSystem;

before(async () => {
  system = await TestSystem.start({ env: { MAX_IMAGE_BYTES: String(1024 * 1024) } });
  await system.release(await writeGmmBundle(join(system.folder, 'bundle'), { 1: -0.15 }), MODEL);
});

after(async () => {
  await system[Symbol.asyncDispose]();
});

function assertRow(error: ServiceError | undefined, { what, kind, reason, names = [], fields }: Row): void {
  assert.ok(error !== undefined, `${what} has no error`);
  assert.deepEqual({ kind: error.kind, reason: error.reason }, { kind, reason }, error.message);
  for (const name of names) {
    assert.match(error.message, name);
  }
  if (fields !== undefined) {
    assert.deepEqual(error.violations.map(({ field }) => field).toSorted(), [...fields].toSorted());
  }
}

const bytesOf = async ({ image }: Row): Promise<Uint8Array> => image?.() ?? makePicture([PATCH]);

for (const row of ROWS) {
  test(`Predict: ${row.what}`, async () => {
    const options = { classification: MODEL, retry: NO_RETRY, ...row.options };
    assertRow(await rejection(system.inference.predictFlakes(await bytesOf(row), options)), row);
    const good = await system.inference.predictFlakes(await makePicture([PATCH]), { classification: MODEL });
    assert.equal(good.flakes.length, 1, 'the next request is answered as if nothing had been');
    assert.equal(good.summary.thresholds?.scoreThreshold, 0.3);
  });
}

test('PredictStream: each of these fails alone with the same error, and the stream goes on', async (t) => {
  const stream = rawStream(t, system.inference.address, MODEL);
  const good = await makePicture([PATCH]);
  for (const row of ROWS) {
    stream.send(row.what, await bytesOf(row), row.options);
    stream.send(`after ${row.what}`, good);
  }
  stream.end();
  const told = await stream.read();
  for (const row of ROWS) {
    assertRow(stream.errors.get(row.what), row);
    assert.ok(told.includes(`after ${row.what} summary`), row.what);
  }
  assert.equal(stream.errors.size, ROWS.length);
});

test('a threshold of 0 is a value, not a default', async () => {
  const { flakes, summary } = await system.inference.predictFlakes(await makePicture([{ ...PATCH, width: 6, height: 6 }]), {
    classification: MODEL,
    sizeThreshold: 0,
    scoreThreshold: 0,
  });
  assert.equal(flakes.length, 1);
  assert.deepEqual(summary.thresholds, { scoreThreshold: 0, minClassOccupancy: 0.5, sizeThreshold: 0 });
});

test('areas and sides in micrometres when the scale is given, absent when it is not', async () => {
  const picture = await makePicture([PATCH]);
  const [scaled] = (await system.inference.predictFlakes(picture, { classification: MODEL, umPerPx: 0.5 })).flakes;
  assert.equal(scaled?.areaUm2, PATCH.width * PATCH.height * 0.25);
  assert.equal(scaled?.maxSideUm, (PATCH.width - 1) * 0.5);
  const [plain] = (await system.inference.predictFlakes(picture, { classification: MODEL })).flakes;
  assert.equal(plain?.areaUm2, undefined);
  assert.equal(plain?.reference, undefined);
});
