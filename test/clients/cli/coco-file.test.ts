import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { CocoFile } from '../../../clients/cli/coco-file.ts';
import { createFlakeFilter } from '../../../clients/cli/flake-filter.ts';
import type { Answer } from '../../../clients/prediction.ts';
import { measure, pixelsOf } from '../../support/coco-reader.ts';
import { encodeMask } from '../../support/mask-encoder.ts';
import { flakeAt, summaryOf, USED_MODEL } from '../../support/predictions.ts';
import { isError, rejection } from '../../support/service-errors.ts';

const NOW = (): number => Date.UTC(2026, 0, 2);
const all = createFlakeFilter({ layers: undefined, minAreaUm2: undefined });

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'coco-'));
});
after(() => rm(folder, { recursive: true }));

function answerOf(flakes: Answer['flakes'], umPerPx?: number): Answer {
  return { flakes, summary: summaryOf(flakes, umPerPx) };
}

async function write(name: string, answers: readonly [number, string, Answer][]): Promise<string> {
  const path = join(folder, name, 'flakes.json');
  const file = new CocoFile(path, NOW);
  await file.begin();
  for (const [index, image, answer] of answers) {
    await file.image(index, image, all(answer));
  }
  await file.end(true);
  return path;
}

test('a run is a COCO dataset: images, annotations, every category of the models, and what made it', async () => {
  const path = await write('whole', [
    [0, 'a/1.jpg', answerOf([flakeAt(0, 2, 50, 30, 10, 10, 0.5), flakeAt(1, 1, 5, 5, 20, 10, 0.5)], 0.5)],
    [1, 'a/2.jpg', answerOf([], 0.5)],
    [3, 'b/1.jpg', answerOf([flakeAt(0, 1, 0, 0, 3, 4, 0.5)], 0.5)],
  ]);
  const dataset = JSON.parse(await readFile(path, 'utf8'));
  const image = { width: 120, height: 80, models: ['CLS_GMM_Test:3'] };
  assert.deepEqual(dataset.images, [
    { id: 1, file_name: 'a/1.jpg', ...image },
    { id: 2, file_name: 'a/2.jpg', ...image },
    { id: 4, file_name: 'b/1.jpg', ...image },
  ]);
  assert.deepEqual(dataset.categories, [
    { id: 1, name: '1 layer', supercategory: 'flake' },
    { id: 2, name: '2 layers', supercategory: 'flake' },
  ]);
  const { version, ...info } = dataset.info;
  assert.match(version, /^\d+\.\d+/);
  assert.deepEqual(info, {
    description: 'flakes found by MaskTerial models',
    year: 2026,
    date_created: '2026-01-02T00:00:00.000Z',
    models: [{ role: 'classification', model: 'CLS_GMM_Test', version: 3, manifest_digest: USED_MODEL.manifestDigest }],
    um_per_px: 0.5,
  });
  assert.deepEqual(dataset.licenses, []);
  assert.deepEqual(
    dataset.annotations.map(({ segmentation: _segmentation, ...rest }: { segmentation: object }) => rest),
    [
      { id: 1, image_id: 1, category_id: 2, bbox: [50, 30, 10, 10], area: 100, iscrowd: 0, score: 1, flake: 0, area_um2: 25 },
      { id: 2, image_id: 1, category_id: 1, bbox: [5, 5, 20, 10], area: 200, iscrowd: 0, score: 1, flake: 1, area_um2: 50 },
      { id: 3, image_id: 4, category_id: 1, bbox: [0, 0, 3, 4], area: 12, iscrowd: 0, score: 1, flake: 0, area_um2: 3 },
    ],
  );
});

test("masks are the flakes' pixels when decoded as COCO's own code decodes them", async () => {
  const isIn = (x: number, y: number): boolean => (x - 60) ** 2 + (y - 40) ** 2 < 30 ** 2 && (x * 7 + y * 3) % 11 !== 0;
  const shapes: [string, (x: number, y: number) => boolean][] = [
    ['ragged', isIn],
    ['everything', () => true],
    ['first pixel', (x, y) => x === 0 && y === 0],
    ['last pixel', (x, y) => x === 119 && y === 79],
  ];
  const flakes = shapes.map(([, isSet], index) => {
    const mask = encodeMask(120, 80, isSet);
    const { area, box } = measure(mask.counts, 80);
    const [x = 0, y = 0, width = 0, height = 0] = box;
    return { ...flakeAt(index, 1, 0, 0, 1, 1), mask, areaPx: area, box: { x, y, width, height } };
  });
  const dataset = JSON.parse(await readFile(await write('masks', [[0, 'a.jpg', answerOf(flakes)]]), 'utf8'));
  for (const [index, [name, isSet]] of shapes.entries()) {
    const { segmentation, area, bbox } = dataset.annotations[index];
    assert.deepEqual(segmentation.size, [80, 120]);
    const expected = new Set<string>();
    for (let x = 0; x < 120; x += 1) {
      for (let y = 0; y < 80; y += 1) {
        if (isSet(x, y)) {
          expected.add(`${x},${y}`);
        }
      }
    }
    assert.deepEqual(pixelsOf(segmentation.counts, 80), expected, name);
    assert.deepEqual(measure(segmentation.counts, 80), { area, box: bbox }, name);
  }
});

test('a run without flakes, and one without images, are datasets too', async () => {
  const flakeless = JSON.parse(await readFile(await write('flakeless', [[0, 'a.jpg', answerOf([])]]), 'utf8'));
  assert.deepEqual([flakeless.annotations, flakeless.images.length, flakeless.categories.length], [[], 1, 2]);
  const empty = JSON.parse(await readFile(await write('empty', []), 'utf8'));
  assert.deepEqual([empty.annotations, empty.images, empty.categories, empty.info.models], [[], [], [], []]);
});

test('two versions of a run are both named; an id keeps its first name', async () => {
  const first = answerOf([flakeAt(0, 1, 0, 0, 3, 4)]);
  const renamed = {
    ...USED_MODEL,
    version: 4,
    layers: [
      { classIndex: 1, name: 'monolayer' },
      { classIndex: 9, name: 'bulk' },
    ],
  };
  const second = { flakes: [], summary: { ...summaryOf([]), models: [renamed] } };
  const dataset = JSON.parse(
    await readFile(
      await write('versions', [
        [0, 'a.jpg', first],
        [1, 'b.jpg', second],
      ]),
      'utf8',
    ),
  );
  assert.deepEqual(
    dataset.info.models.map(({ version }: { version: number }) => version),
    [3, 4],
  );
  assert.deepEqual(
    dataset.categories.map(({ id, name }: { id: number; name: string }) => `${id} ${name}`),
    ['1 1 layer', '2 2 layers', '9 bulk'],
  );
});

test('a run that ended before its time leaves the earlier dataset and nothing of its own', async () => {
  const path = await write('kept', [[0, 'a.jpg', answerOf([])]]);
  const earlier = await readFile(path, 'utf8');
  const file = new CocoFile(path, NOW);
  await file.begin();
  await file.image(0, 'b.jpg', all(answerOf([flakeAt(0, 1, 0, 0, 3, 4)])));
  await file.failure();
  await file.end(false);
  assert.equal(await readFile(path, 'utf8'), earlier);
  assert.deepEqual(await readdir(join(folder, 'kept')), ['flakes.json']);
});

test('where it cannot be written, that is said before anything is predicted', async () => {
  await writeFile(join(folder, 'a-file'), '');
  const file = new CocoFile(join(folder, 'a-file', 'flakes.json'), NOW);
  isError('failed-precondition', 'UNWRITABLE_FILE')(await rejection(file.begin()));
  await file.end(false);
  const asFolder = new CocoFile(folder, NOW);
  isError('failed-precondition', 'UNWRITABLE_FILE')(await rejection(asFolder.begin()));
  await asFolder.end(false);
});
