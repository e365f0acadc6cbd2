import assert from 'node:assert/strict';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { EXIT } from '../../../../clients/cli/exit-codes.ts';
import type { PredictStreamResponse } from '../../../../proto/gen/maskterial/inference/v1/inference_service.ts';
import { measure } from '../../../support/coco-reader.ts';
import { FakeInference, failWith, type PredictStreamScript } from '../../../support/fake-inference.ts';
import { answerBy, pictureOf, predictCommand } from '../../../support/predict-command.ts';
import { runCommand } from '../../../support/run-command.ts';
import { byVersion, NAMES, scanFolder } from '../../../support/scan-folder.ts';

test('results come in the order of the names, whichever was finished first', async (t) => {
  const { scan } = await scanFolder(t);
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

test('filters hold for every output, and what they leave out is counted', async (t) => {
  const { scan, out } = await scanFolder(t);
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

test('a layer that the model does not have ends the run before anything is printed', async (t) => {
  const { scan } = await scanFolder(t);
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
  test(`wrong usage: ${name}`, async (t) => {
    const { scan } = await scanFolder(t);
    const { code, err } = await runCommand(['predict', scan, '--classification', 'CLS', ...args]);
    assert.equal(code, EXIT.usage);
    assert.match(err, expected);
  });
}

test('folders within are looked into when asked to, those that this run writes to never', async (t) => {
  const { root, scan } = await scanFolder(t);
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
  const empty = join(root, 'empty');
  await mkdir(join(empty, 'within'), { recursive: true });
  assert.match((await predictCommand([empty], byVersion(3))).err, /no images .*; --recursive looks into/);
});

test('overlays among the images are no images, and those of images done before are not drawn again', async (t) => {
  const { scan, out } = await scanFolder(t);
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
