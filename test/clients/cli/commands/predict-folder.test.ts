import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { EXIT } from '../../../../clients/cli/exit-codes.ts';
import type { PredictStreamResponse } from '../../../../proto/gen/maskterial/inference/v1/inference_service.ts';
import { ServiceError } from '../../../../proto/wire/errors.ts';
import { toRpcStatus } from '../../../../proto/wire/status.ts';
import { measure } from '../../../support/coco-reader.ts';
import { FakeInference, failWith, type PredictScript, type PredictStreamScript } from '../../../support/fake-inference.ts';
import { answerBy, pictureOf, predictCommand } from '../../../support/predict-command.ts';
import { runCommand } from '../../../support/run-command.ts';

const NAMES = ['1.png', '2.png', '10.png'];

let root: string;
let scan: string;
let out: string;
let count = 0;
let pictures: Map<string, Buffer>;

before(async () => {
  root = await mkdtemp(join(tmpdir(), 'cli-folder-'));
  pictures = new Map(await Promise.all(NAMES.map(async (name, index) => [name, await pictureOf(index)] as const)));
});
beforeEach(async () => {
  count += 1;
  scan = join(root, String(count), 'scan');
  out = join(root, String(count), 'results');
  await mkdir(scan, { recursive: true });
  await Promise.all([...pictures].map(([name, picture]) => writeFile(join(scan, name), picture)));
});
after(() => rm(root, { recursive: true }));

const byVersion =
  (version: number): PredictScript =>
  ({ options }) =>
    answerBy(version, options?.umPerPx);

/** The first bytes sent tell which of the pictures it is. */
const nameOf = (image: Uint8Array): string => [...pictures].find(([, picture]) => picture.equals(image))?.[0] ?? 'none';

test('a folder run again asks for nothing and prints the same', async () => {
  const args = [scan, '--um-per-px', '0.5', '--out', out, '--csv'];
  const first = await predictCommand(args, byVersion(3));
  assert.equal(first.code, EXIT.ok);
  assert.equal(first.inference.requests.length, 3);
  assert.equal((await readdir(out)).length, 3);
  const second = await predictCommand(args, byVersion(3));
  assert.equal(second.code, EXIT.ok);
  assert.equal(second.inference.requests.length, 1, 'one question: which versions answer now');
  assert.equal(second.out, first.out);
  assert.match(second.err, /^1\/3 .*1\.png: 2 flakes, done before$/m);
  assert.match(second.err, /^3 of 3 images done \(3 of them before\), 6 flakes$/m);
});

test('what is new, what changed and what failed is done; the rest is not asked for again', async () => {
  const broken: PredictScript = (request) =>
    nameOf(request.image) === '2.png'
      ? failWith(new ServiceError('invalid-argument', 'NO_BACKGROUND', 'no substrate'))
      : answerBy(3, undefined);
  const first = await predictCommand([scan, '--out', out], broken);
  assert.equal(first.code, EXIT.failed);
  assert.equal((await readdir(out)).length, 2);
  await writeFile(join(scan, '10.png'), await pictureOf(77));
  await writeFile(join(scan, '11.png'), await pictureOf(78));
  const second = await predictCommand([scan, '--out', out], byVersion(3));
  assert.match(second.err, /^4 of 4 images done \(1 of them before\), 8 flakes$/m);
  assert.equal(second.inference.requests.length, 1 + 3);
});

test('a kept result that cannot be read is one failure at the end, and the others are done', async () => {
  await predictCommand([scan, '--out', out], byVersion(3));
  const kept = (await readdir(out)).find((name) => name.startsWith('2.png')) ?? assert.fail('no result');
  await rm(join(out, kept));
  await mkdir(join(out, kept));
  const again = await predictCommand([scan, '--out', out], byVersion(3));
  assert.equal(again.code, EXIT.failed);
  assert.match(again.err, /^2 of 3 images done \(2 of them before\), 4 flakes/m);
  assert.ok(again.err.includes(kept), again.err);
});

test('where another version answers now, what the old one did is done again, unless it is to be kept', async () => {
  await predictCommand([scan, '--out', out], byVersion(3));
  await writeFile(join(scan, '11.png'), await pictureOf(79));
  const kept = await predictCommand([scan, '--out', out, '--keep-old'], byVersion(4));
  assert.equal(kept.inference.requests.length, 1, 'the new image alone, and no question');
  assert.match(kept.err, /^by CLS_GMM_Test:3: 3 images; CLS_GMM_Test:4: 1 image$/m);
  const again = await predictCommand([scan, '--out', out], byVersion(4));
  assert.match(again.err, /^4 of 4 images done \(1 of them before\), 8 flakes$/m);
  assert.match(again.err, /^3 earlier results by other versions done again \(--keep-old keeps them\)$/m);
  const last = await predictCommand([scan, '--out', out], byVersion(4));
  assert.match(last.err, /^4 of 4 images done \(4 of them before\), 8 flakes$/m);
  assert.doesNotMatch(last.err, /done again|by CLS/);
});

test('other options, other results; filters are none of them', async () => {
  await predictCommand([scan, '--out', out, '--um-per-px', '0.5'], byVersion(3));
  const scaled = await predictCommand([scan, '--out', out, '--um-per-px', '0.25'], byVersion(3));
  assert.equal(scaled.inference.requests.length, 3);
  const args = [scan, '--out', out, '--um-per-px', '0.25', '--csv'];
  const filtered = await predictCommand([...args, '--layers', '2'], byVersion(3));
  assert.equal(filtered.inference.requests.length, 1);
  assert.equal(filtered.out.trim().split('\r\n').length, 1 + 3);
  const all = await predictCommand(args, byVersion(3));
  assert.equal(all.out.trim().split('\r\n').length, 1 + 6, 'the folder has all flakes');
});

test('an interrupted run lists what was done and keeps it; the next one does the rest', async () => {
  const controller = new AbortController();
  const script: PredictScript = async function* (request) {
    if (nameOf(request.image) === '10.png') {
      while ((await readdir(out)).filter((name) => name.endsWith('.json')).length < 2) {
        // Until both results before this one are kept.
      }
      controller.abort(new ServiceError('cancelled', 'CANCELLED', 'stopped by SIGINT'));
      await new Promise(() => undefined);
    }
    yield* answerBy(3, undefined);
  };
  const coco = join(out, 'coco.json');
  const args = [scan, '--out', out, '--csv'];
  const { code, err, out: text } = await predictCommand([...args, '--coco', coco], script, controller.signal);
  assert.equal(code, EXIT.interrupted);
  assert.equal(text.trim().split('\r\n').length, 1 + 4);
  assert.match(err, /^2 of 3 images done, 4 flakes\n1 image not done\nmaskterial: error: stopped by SIGINT \[CANCELLED\]$/m);
  assert.deepEqual(
    (await readdir(out)).map((name) => name.slice(0, 5)).toSorted(),
    ['1.png', '2.png'],
    'two results, half a dataset for nobody',
  );
  const second = await predictCommand(args, byVersion(3));
  assert.match(second.err, /^3 of 3 images done \(2 of them before\), 6 flakes$/m);
});

test('a server that goes away in the middle is waited for, and every image comes out once', async () => {
  const inference = new FakeInference(byVersion(3));
  const { predictStream } = inference;
  let calls = 0;
  inference.predictStream = async function* (requests, context) {
    calls += 1;
    for await (const response of predictStream(requests, context)) {
      yield response;
      if (calls === 1 && response.event?.$case === 'summary') {
        throw new ServiceError('unavailable', 'SHUTTING_DOWN', 'the server is shutting down');
      }
    }
  };
  const { code, out: csv, err } = await predictCommand([scan, '--csv'], inference);
  assert.equal(code, EXIT.ok);
  assert.equal(calls, 2);
  assert.deepEqual(
    csv
      .trim()
      .split('\r\n')
      .slice(1)
      .map((line) => line.split(',').slice(0, 2).join(' ')),
    NAMES.flatMap((name) => [`${join(scan, name)} 0`, `${join(scan, name)} 1`]),
  );
  assert.match(err, /^maskterial: waiting up to 60 s: the server is shutting down$/m);
  assert.match(err, /^maskterial: going on$/m);
});

test('a server that stays away ends the run with what was done, after the time that was named', async () => {
  const inference = new FakeInference(byVersion(3));
  const { predictStream } = inference;
  inference.predictStream = async function* (requests, context) {
    for await (const response of predictStream(requests, context)) {
      yield response;
      if (response.event?.$case === 'summary') {
        break;
      }
    }
    inference.predictStream = () => failWith(new ServiceError('unavailable', 'SHUTTING_DOWN', 'gone'));
    throw new ServiceError('unavailable', 'SHUTTING_DOWN', 'gone');
  };
  const { code, err } = await predictCommand([scan, '--retry-for', '2'], inference);
  assert.equal(code, EXIT.unavailable);
  assert.match(err, /^maskterial: waiting up to 2 s: gone$/m);
  assert.match(err, /^1 of 3 images done, 2 flakes\n2 images not done\nmaskterial: error: gone \[SHUTTING_DOWN\]$/m);
});

test('an image that takes its engine down each time is given up and listed; the others are done', async () => {
  const script: PredictScript = (request) =>
    nameOf(request.image) === '2.png'
      ? failWith(new ServiceError('unavailable', 'ENGINE_CRASHED', 'the engine ended with SIGSEGV'))
      : answerBy(3, undefined);
  const { code, err, inference } = await predictCommand([scan], script);
  assert.equal(code, EXIT.failed);
  assert.equal(inference.requests.filter(({ image }) => nameOf(image) === '2.png').length, 3);
  assert.match(err, /^2 of 3 images done/m);
  assert.match(
    err,
    /^1 of 3 images failed:\n {2}.*2\.png: the engine ended with SIGSEGV \(given up: tried 3 times\) \[ENGINE_CRASHED\]$/m,
  );
});

test('results come in the order of the names, whichever was finished first', async () => {
  const reversed: PredictStreamScript = async function* (requests) {
    const ids: string[] = [];
    for await (const { request } of requests) {
      if (request?.$case === 'begin') {
        ids.push(request.value.imageId);
      }
      if (request?.$case === 'end' && ids.length === NAMES.length) {
        for (const imageId of ids.toReversed()) {
          for await (const { event } of answerBy(3, undefined)) {
            const response: PredictStreamResponse = event === undefined ? { imageId } : { imageId, event };
            yield response;
          }
        }
      }
    }
  };
  const inference = new FakeInference(() => failWith(new Error('streams only')));
  inference.predictStream = reversed;
  const { out: text } = await predictCommand([scan, '--json'], inference);
  assert.deepEqual(
    text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line).image),
    NAMES.map((name) => join(scan, name)),
  );
});

test('filters hold for every output, and what they leave out is counted', async () => {
  const coco = join(out, 'coco.json');
  const filters = ['--um-per-px', '0.5', '--layers', '1 layer,2', '--min-area-um2', '30'];
  const json = await predictCommand([scan, '--json', '--coco', coco, '--out', out, ...filters], byVersion(3));
  assert.equal(json.code, EXIT.ok);
  for (const line of json.out.trim().split('\n')) {
    const { flakes, flakes_left_out: leftOut } = JSON.parse(line);
    assert.deepEqual([flakes.length, flakes[0].area_um2, leftOut], [1, 50, 1]);
  }
  assert.match(json.err, /^3 of 3 images done, 3 flakes, 3 more left out by --layers or --min-area-um2$/m);
  const dataset = JSON.parse(await readFile(coco, 'utf8'));
  assert.equal(dataset.annotations.length, 3);
  for (const { segmentation, area, bbox } of dataset.annotations) {
    assert.deepEqual(measure(segmentation.counts, segmentation.size[0]), { area, box: bbox });
  }
  const table = await predictCommand([join(scan, '1.png'), ...filters], byVersion(3));
  assert.match(table.out, /1\.png {2}120 x 80 px {2}1 flake {2}/);
  assert.match(table.err, /^1 flake, 1 more left out by --layers or --min-area-um2$/m);
});

test('a layer that the model does not have ends the run before anything is printed', async () => {
  const { code, out: text, err } = await predictCommand([scan, '--layers', '1,bulk', '--json'], byVersion(3));
  assert.equal(code, EXIT.failed);
  assert.equal(text, '');
  assert.match(err, /no layer \\"bulk\\"; CLS_GMM_Test:3 has 1/);
});

const USAGE: [string, string[], RegExp][] = [
  ['an area without a scale', ['--min-area-um2', '5'], /--um-per-px/],
  ['old results without a folder', ['--keep-old'], /--out/],
  ['an empty layer', ['--layers', '1,,2'], /apart by commas/],
  ['a negative area', ['--um-per-px', '1', '--min-area-um2', '-1'], /from 0/],
];
for (const [name, args, expected] of USAGE) {
  test(`wrong usage: ${name}`, async () => {
    const { code, err } = await runCommand(['predict', scan, '--classification', 'CLS', ...args]);
    assert.equal(code, EXIT.usage);
    assert.match(err, expected);
  });
}

test('folders within are looked into when asked to, those that this run writes to never', async () => {
  await mkdir(join(scan, 'b', 'c'), { recursive: true });
  await mkdir(join(scan, '.cache'));
  await writeFile(join(scan, 'b', 'c', '1.png'), await pictureOf(9));
  await writeFile(join(scan, '.cache', '1.png'), await pictureOf(9));
  const overlays = join(scan, 'overlays');
  const args = [scan, '--recursive', '--overlay', overlays, '--out', join(scan, 'results'), '--csv'];
  const first = await predictCommand(args, byVersion(3));
  assert.match(first.err, /^4 of 4 images done/m);
  assert.ok(first.out.includes(join(scan, 'b', 'c', '1.png')));
  assert.deepEqual((await readdir(overlays)).toSorted(), ['1-2.overlay.png', '1.overlay.png', '10.overlay.png', '2.overlay.png']);
  const second = await predictCommand(args, byVersion(3));
  assert.match(second.err, /^4 of 4 images done \(4 of them before\)/m);
  const empty = join(root, String(count), 'empty');
  await mkdir(join(empty, 'within'), { recursive: true });
  assert.match((await predictCommand([empty], byVersion(3))).err, /no images .*; --recursive looks into/);
});

test('overlays among the images are no images, and those of images done before are not drawn again', async () => {
  const args = [scan, '--overlay', scan, '--out', out];
  await predictCommand(args, byVersion(3));
  const overlay = join(scan, '2.overlay.png');
  const drawn = await stat(overlay, { bigint: true });
  const second = await predictCommand(args, byVersion(3));
  assert.match(second.err, /^maskterial: skipped 3 files that are no image$/m);
  assert.match(second.err, /^3 of 3 images done \(3 of them before\)/m);
  assert.equal((await stat(overlay, { bigint: true })).ino, drawn.ino);
  await predictCommand([...args, '--layers', '1'], byVersion(3));
  assert.notEqual((await stat(overlay, { bigint: true })).ino, drawn.ino, 'other flakes, another picture');
  await rm(overlay);
  await predictCommand(args, byVersion(3));
  assert.ok((await readdir(scan)).includes('2.overlay.png'));
});

test('where results cannot be kept, the run ends and says so', async () => {
  await writeFile(out, 'a file');
  const early = await predictCommand([scan, '--out', out], byVersion(3));
  assert.equal(early.code, EXIT.failed);
  assert.equal(early.inference.requests.length, 0);
  assert.match(early.err, /\[UNWRITABLE_FILE\]$/m);
});

test('a result that cannot be saved ends the run; a dataset that cannot be begun lets none begin', async () => {
  const script: PredictScript = async function* (_request, _context, call) {
    if (call === 1) {
      await rm(out, { recursive: true });
      await writeFile(out, 'a file');
    }
    yield* answerBy(3, undefined);
  };
  const { code, err } = await predictCommand([scan, '--out', out], script);
  assert.equal(code, EXIT.failed);
  assert.match(err, /^maskterial: error: cannot write .*\[UNWRITABLE_FILE\]$/m);
  const coco = await predictCommand([scan, '--coco', join(out, 'x.json')], byVersion(3));
  assert.equal(coco.code, EXIT.failed);
  assert.equal(coco.inference.requests.length, 0);
});

test('which versions answer now cannot be learnt from a server that fails', async () => {
  await predictCommand([scan, '--out', out], byVersion(3));
  const gone = await predictCommand([scan, '--out', out], () =>
    failWith(new ServiceError('not-found', 'MODEL_NOT_FOUND', 'no model "CLS"')),
  );
  assert.equal(gone.code, EXIT.failed);
  assert.match(gone.err, /^0 of 3 images done, 0 flakes\n3 images not done\nmaskterial: error: no model "CLS"/m);
  const inference = new FakeInference(async function* () {
    yield* [];
  });
  assert.match((await predictCommand([scan, '--out', out], inference)).err, /did not say which versions/);
});

test('a server that is not ready to say which versions answer is waited for', async () => {
  await predictCommand([scan, '--out', out], byVersion(3));
  const notReady: PredictScript = (_request, _context, call) =>
    call < 4 ? failWith(new ServiceError('unavailable', 'MODEL_NOT_READY', 'loading')) : answerBy(3, undefined);
  const { code, err } = await predictCommand([scan, '--out', out], notReady);
  assert.equal(code, EXIT.ok);
  assert.match(err, /^maskterial: waiting up to 60 s: loading\nmaskterial: going on$/m);
  assert.match(err, /^3 of 3 images done \(3 of them before\)/m);
  const never = await predictCommand([scan, '--out', out, '--retry-for', '0'], notReady);
  assert.equal(never.code, EXIT.unavailable);
  assert.equal(never.inference.requests.length, 1);
});

test('an unknown answer from the server does not pass for an image', async () => {
  const inference = new FakeInference(() => failWith(new Error('streams only')));
  inference.predictStream = async function* (requests) {
    for await (const { request } of requests) {
      if (request?.$case === 'begin') {
        const error = toRpcStatus(new ServiceError('invalid-argument', 'UNDECODABLE_IMAGE', 'x'));
        yield { imageId: 'stranger', event: { $case: 'error', value: error } };
      }
    }
  };
  const { code, err } = await predictCommand([scan], inference);
  assert.equal(code, EXIT.failed);
  assert.match(err, /"stranger", which was never sent/);
});
