import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import sharp from 'sharp';
import { EXIT } from '../../../../clients/cli/exit-codes.ts';
import { invalid, ServiceError } from '../../../../proto/wire/errors.ts';
import { FakeInference, failWith, type PredictScript } from '../../../support/fake-inference.ts';
import { eventsOf, flakeAt } from '../../../support/predictions.ts';
import { type CommandResult, runCommand } from '../../../support/run-command.ts';

let folder: string;
let png: Buffer;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cli-predict-'));
  png = await sharp({ create: { width: 120, height: 80, channels: 3, background: '#8877aa' } })
    .png()
    .toBuffer();
  await mkdir(join(folder, 'scan', 'deeper'), { recursive: true });
  for (const name of ['10.png', '2.PNG', 'notes.txt', '.hidden.png', 'deeper/3.png']) {
    await writeFile(join(folder, 'scan', name), png);
  }
});
after(() => rm(folder, { recursive: true }));

const answer: PredictScript = async function* (request) {
  if (!request.image.equals(png)) {
    throw new ServiceError('invalid-argument', 'UNDECODABLE_IMAGE', 'no image: 3 bytes');
  }
  const umPerPx = request.options?.umPerPx;
  yield* eventsOf([flakeAt(0, 1, 5, 5, 20, 10, umPerPx)], umPerPx);
};

async function predict(
  args: readonly string[],
  script: PredictScript = answer,
): Promise<CommandResult & { readonly inference: FakeInference }> {
  const inference = new FakeInference(script);
  await using server = await inference.start();
  const result = await runCommand(['predict', '--classification', 'CLS', ...args], { MASKTERIAL_INFERENCE: server.address });
  return { ...result, inference };
}

test('predicts on the images of a folder in order and shows tables; lines of progress go to standard error', async () => {
  const scan = join(folder, 'scan');
  const { code, out, err, inference } = await predict([scan, '--um-per-px', '0.5']);
  assert.equal(code, EXIT.ok);
  const headings = out.split('\n').filter((line) => line.includes('120 x 80'));
  assert.deepEqual(
    headings.map((line) => line.split('  ')[0]),
    [join(scan, '2.PNG'), join(scan, '10.png')],
  );
  assert.deepEqual(err.split('\n'), [
    'maskterial: skipped 1 file that is no image and 1 folder within (--recursive looks into them)',
    `1/2 ${join(scan, '2.PNG')}: 1 flake`,
    `2/2 ${join(scan, '10.png')}: 1 flake`,
    '2 of 2 images done, 2 flakes',
    '',
  ]);
  assert.equal(inference.requests[0]?.options?.pipeline?.classificationModel, 'CLS@production');
});

test('warns when areas cannot be in um^2', async () => {
  const { err, out } = await predict([join(folder, 'scan', '10.png')]);
  assert.match(err, /--um-per-px/);
  assert.match(out, /200 px/);
});

test('one bad image stops nothing: it is listed at the end with its reason, and the exit code says so', async () => {
  const bad = join(folder, 'bad.png');
  await writeFile(bad, 'bad');
  const missing = join(folder, 'missing.png');
  const empty = join(folder, 'empty');
  await mkdir(empty, { recursive: true });
  const good = join(folder, 'scan', '10.png');
  const { code, out, err } = await predict([bad, missing, empty, good]);
  assert.equal(code, EXIT.failed);
  assert.match(out, /1 flake /);
  assert.match(err, /1 of 4 images done/);
  const [, list = ''] = err.split('3 of 4 images failed:\n');
  const lines = list.trimEnd().split('\n');
  assert.equal(lines.length, 3);
  assert.ok(lines[0]?.includes(bad) && lines[0].includes('UNDECODABLE_IMAGE'));
  assert.ok(lines[1]?.includes(missing) && lines[1].includes('UNREADABLE_FILE'));
  // Each is named once.
  assert.equal(lines[1]?.split(missing).length, 2);
  assert.ok(lines[2]?.includes(empty));
});

test('a request that is wrong in its image only, such as an empty file, does not end the run', async () => {
  const empty = join(folder, 'empty.png');
  await writeFile(empty, '');
  const script: PredictScript = (request, context, call) =>
    request.image.byteLength === 0
      ? failWith(invalid([{ field: 'image', description: 'expected the bytes of an encoded image, found none' }]))
      : answer(request, context, call);
  const { code, err } = await predict([empty, join(folder, 'scan')], script);
  assert.equal(code, EXIT.failed);
  assert.match(err, /2 of 3 images done/);
});

test('a model that the server cannot run ends the run at once', async () => {
  const { code, err, inference } = await predict([join(folder, 'scan')], () =>
    failWith(new ServiceError('failed-precondition', 'UNSUPPORTED_MODEL', 'no such contract')),
  );
  assert.equal(code, EXIT.failed);
  assert.match(err, /^maskterial: error: no such contract \[UNSUPPORTED_MODEL\]$/m);
  assert.ok(inference.requests.length <= 2);
});

test('a fault of the request stops the run at once', async () => {
  const { code, err, out, inference } = await predict([join(folder, 'scan')], () =>
    failWith(new ServiceError('not-found', 'MODEL_NOT_FOUND', 'no model "CLS"; nearest: CLS_GMM')),
  );
  assert.equal(code, EXIT.failed);
  assert.equal(out, '');
  assert.equal(err.trim().split('\n').at(-1), 'maskterial: error: no model "CLS"; nearest: CLS_GMM [MODEL_NOT_FOUND]');
  assert.ok(inference.requests.length <= 2);
});

test('what failed before the server went away is listed all the same', async () => {
  const bad = join(folder, 'bad.png');
  await writeFile(bad, 'bad');
  const script: PredictScript = (request, context, call) =>
    request.image.equals(png)
      ? failWith(new ServiceError('unavailable', 'MODEL_NOT_READY', 'no version yet'))
      : answer(request, context, call);
  const { code, err } = await predict([bad, join(folder, 'scan')], script);
  assert.equal(code, EXIT.unavailable);
  assert.match(
    err,
    /0 of 3 images done, 0 flakes\n2 images not done\n1 of 3 images failed:\n {2}.*bad\.png.*\nmaskterial: error: no version yet/,
  );
  assert.match(err, /^maskterial: waiting up to 60 s: no version yet$/m);
});

test('--csv writes the header once and one line a flake', async () => {
  const { out } = await predict([join(folder, 'scan'), '--csv']);
  const lines = out.split('\r\n');
  assert.equal(lines.length, 4);
  assert.ok(lines[0]?.startsWith('image,flake,layer,'));
  assert.ok(lines[2]?.startsWith(`${join(folder, 'scan', '10.png')},0,1 layer,200,,`));
});

test('--json writes one object an image, failures among them', async () => {
  const bad = join(folder, 'bad.png');
  await writeFile(bad, 'bad');
  const { out, code } = await predict([bad, join(folder, 'scan', '10.png'), '--json', '--reference']);
  assert.equal(code, EXIT.failed);
  const [first, second] = out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual(first, {
    image: bad,
    error: { kind: 'invalid-argument', reason: 'UNDECODABLE_IMAGE', message: 'no image: 3 bytes' },
  });
  assert.equal(second.flakes[0].area_px, 200);
});

test('options reach the server', async () => {
  const args = [
    '--segmentation',
    'SEG:4',
    '--score-threshold',
    '0',
    '--min-class-occupancy',
    '1',
    '--size-threshold',
    '0',
    '--reference',
  ];
  const { inference } = await predict([join(folder, 'scan', '10.png'), ...args]);
  assert.deepEqual(inference.requests[0]?.options, {
    pipeline: { segmentationModel: 'SEG:4', classificationModel: 'CLS@production', postprocessingModel: '' },
    thresholds: { scoreThreshold: 0, minClassOccupancy: 1, sizeThreshold: 0 },
    umPerPx: undefined,
    includeReference: true,
    priority: 0,
  });
});

test('--overlay saves a picture an image, apart for images of one name', async () => {
  const overlays = join(folder, 'overlays');
  await mkdir(join(folder, 'other'), { recursive: true });
  await writeFile(join(folder, 'other', '10.png'), png);
  const { code } = await predict([join(folder, 'scan'), join(folder, 'other'), '--overlay', overlays]);
  assert.equal(code, EXIT.ok);
  assert.deepEqual((await readdir(overlays)).toSorted(), ['10-2.overlay.png', '10.overlay.png', '2.overlay.png']);
});

test('an overlay that cannot be saved is a failure, but its flakes are shown', async () => {
  const overlays = join(folder, 'overlays-taken');
  // A folder where the picture belongs.
  await mkdir(join(overlays, '10.overlay.png'), { recursive: true });
  const { code, out, err } = await predict([join(folder, 'scan', '10.png'), '--overlay', overlays]);
  assert.equal(code, EXIT.failed);
  assert.match(out, /1 flake /);
  assert.match(err, /1 of 1 image failed/);
});

test('a place for pictures or a dataset that cannot be written ends the run before it begins', async () => {
  const file = join(folder, 'a-file');
  await writeFile(file, '');
  for (const place of [
    ['--overlay', file],
    ['--coco', join(folder, 'scan')],
  ]) {
    const { code, out, err } = await predict([join(folder, 'scan'), ...place]);
    assert.deepEqual([code, out], [EXIT.failed, '']);
    assert.match(err, /cannot write .* \[UNWRITABLE_FILE\]\n$/);
  }
});

test("a file name's control characters reach no terminal", async () => {
  const scan = join(folder, 'hostile');
  await mkdir(scan, { recursive: true });
  await writeFile(join(scan, 'a\n\u001b[2J.png'), png);
  await writeFile(join(scan, 'b\n\u001b[2J.png'), 'bad');
  const { out, err } = await predict([scan]);
  assert.match(err, /2 images/);
  assert.doesNotMatch(`${out}${err}`, /\u001b|\n\[2J|^\?\[2J/m);
});

test('an interrupt ends the run as one', async () => {
  const controller = new AbortController();
  const inference = new FakeInference(async function* () {
    controller.abort();
    yield* eventsOf([]);
    await new Promise(() => undefined);
  });
  await using server = await inference.start();
  const { code } = await runCommand(
    ['predict', '--classification', 'CLS', join(folder, 'scan'), '--inference', server.address],
    {},
    controller.signal,
  );
  assert.equal(code, EXIT.interrupted);
});

test('a model must be named', async () => {
  const { code, err } = await runCommand(['predict', join(folder, 'scan'), '--json']);
  assert.equal(code, EXIT.usage);
  assert.equal(JSON.parse(err).error.kind, 'usage');
});
