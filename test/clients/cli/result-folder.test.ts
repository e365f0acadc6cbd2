import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { type RequestRecord, requestRecord } from '../../../clients/cli/result-file.ts';
import { ResultFolder } from '../../../clients/cli/result-folder.ts';
import { resultJson } from '../../../clients/cli/result-json.ts';
import { refOf } from '../../../proto/wire/digest.ts';
import { flakeAt, summaryOf } from '../../support/predictions.ts';
import { isError, rejection } from '../../support/service-errors.ts';

const REQUEST = requestRecord({ classification: 'CLS@production', umPerPx: 0.3844 });
const IMAGE = refOf(Buffer.from('a picture'));
const flakes = [
  {
    ...flakeAt(0, 1, 5, 5, 20, 10, 0.3844),
    areaUm2: 0.1 + 0.2,
    reference: {
      thickness: 1,
      size: 200n,
      meanContrast: [-1, 0, 0],
      center: [14, 9],
      maxSidelength: 19,
      minSidelength: 9,
      aspectRatio: 2.1,
      falsePositiveProbability: 0,
      entropy: 0,
      bbox: [5, 5, 19, 9],
    },
  },
  { ...flakeAt(1, 2, 50, 30, 10, 10), centre: undefined, meanContrast: undefined, mask: undefined },
];
const ANSWER = { flakes, summary: summaryOf(flakes, 0.3844) };

let root: string;
let path: string;
let count = 0;
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'results-'));
});
beforeEach(() => {
  path = join(root, String((count += 1)), 'results');
});
after(() => rm(root, { recursive: true }));

const openFolder = (request: RequestRecord = REQUEST, nowMs = 0): Promise<ResultFolder> =>
  ResultFolder.open(path, request, nowMs);

async function onlyFile(): Promise<string> {
  const names = await readdir(path);
  assert.equal(names.length, 1);
  return join(path, names[0] ?? '');
}

test('an answer comes back as it was, number by number', async () => {
  await (await openFolder()).save('scan/a.jpg', IMAGE, ANSWER);
  const found = await (await openFolder()).find('elsewhere/a.jpg', IMAGE);
  assert.deepEqual(found, ANSWER);
  const bare = { flakes: [], summary: { ...summaryOf([]), background: undefined, distinctColours: undefined } };
  await (await openFolder()).save('scan/b.jpg', IMAGE, bare);
  assert.deepEqual(await (await openFolder()).find('scan/b.jpg', IMAGE), bare);
});

test("a file is the object of --json, with the image's digest and the request, under the image's name", async () => {
  await (await openFolder()).save('scan/a.jpg', IMAGE, ANSWER);
  const file = await onlyFile();
  assert.equal(file, join(path, `a.jpg.${IMAGE.digest.slice(7, 19)}.json`));
  assert.deepEqual(JSON.parse(await readFile(file, 'utf8')), {
    maskterial_result: 1,
    image_digest: IMAGE.digest,
    image_bytes: 9,
    request: {
      segmentation: null,
      classification: 'CLS',
      postprocessing: null,
      score_threshold: null,
      min_class_occupancy: null,
      size_threshold: null,
      um_per_px: 0.3844,
      include_reference: false,
    },
    ...JSON.parse(JSON.stringify(resultJson('scan/a.jpg', ANSWER))),
  });
});

test('images of one name from two folders have a result each', async () => {
  const folder = await openFolder();
  const other = refOf(Buffer.from('another picture'));
  await folder.save('one/a.jpg', IMAGE, ANSWER);
  await folder.save('two/a.jpg', other, { flakes: [], summary: summaryOf([]) });
  assert.equal((await folder.find('one/a.jpg', IMAGE))?.flakes.length, 2);
  assert.equal((await folder.find('two/a.jpg', other))?.flakes.length, 0);
});

const OTHERS: [string, Parameters<typeof requestRecord>[0]][] = [
  ['another model', { classification: 'OTHER', umPerPx: 0.3844 }],
  ['another scale', { classification: 'CLS', umPerPx: 0.5 }],
  ['no scale', { classification: 'CLS' }],
  ['a threshold', { classification: 'CLS', umPerPx: 0.3844, sizeThreshold: 0 }],
  ["the original's record", { classification: 'CLS', umPerPx: 0.3844, includeReference: true }],
  ['a second model', { classification: 'CLS', umPerPx: 0.3844, segmentation: 'SEG' }],
];
for (const [name, options] of OTHERS) {
  test(`a request with ${name} is not done`, async () => {
    await (await openFolder()).save('a.jpg', IMAGE, ANSWER);
    assert.equal(await (await openFolder(requestRecord(options))).find('a.jpg', IMAGE), undefined);
  });
}

test('which alias or version was named does not matter: the versions that answered do', async () => {
  await (await openFolder()).save('a.jpg', IMAGE, ANSWER);
  const byVersion = requestRecord({ classification: 'CLS:3', umPerPx: 0.3844 });
  assert.ok((await (await openFolder(byVersion)).find('a.jpg', IMAGE)) !== undefined);
});

const DAMAGES: [string, (text: string) => string][] = [
  ['empty', () => ''],
  ['cut off', (text) => text.slice(0, -20)],
  ['no object', () => '[]'],
  ['of another format', (text) => text.replace('"maskterial_result":1', '"maskterial_result":2')],
  ["another image's", (text) => text.replace(/"image_digest":"sha256:../, '"image_digest":"sha256:zz')],
  ['of another size', (text) => text.replace('"image_bytes":9', '"image_bytes":10')],
  ['without flakes', (text) => text.replace('"flakes":', '"fakes":')],
  ['with a word for a number', (text) => text.replace('"area_px":200', '"area_px":"200"')],
  ['of an unknown role', (text) => text.replace('"role":"classification"', '"role":"constructor"')],
];
for (const [name, damage] of DAMAGES) {
  test(`a file that is ${name} is not a result`, async () => {
    const folder = await openFolder();
    await folder.save('a.jpg', IMAGE, ANSWER);
    const file = await onlyFile();
    const text = await readFile(file, 'utf8');
    assert.notEqual(damage(text), text);
    await writeFile(file, damage(text));
    assert.equal(await folder.find('a.jpg', IMAGE), undefined);
    await folder.save('a.jpg', IMAGE, ANSWER);
    assert.deepEqual(await folder.find('a.jpg', IMAGE), ANSWER);
  });
}

test('what a killed run left is no result, and is removed once no run can need it', async () => {
  await openFolder();
  const left = join(path, `a.jpg.${IMAGE.digest.slice(7, 19)}.json.0011aabb.partial`);
  await writeFile(left, '{"maskterial_result":1');
  await writeFile(join(path, 'notes.partial'), 'not ours');
  assert.equal(await (await openFolder()).find('a.jpg', IMAGE), undefined);
  await utimes(left, 1000, 1000);
  await openFolder(REQUEST, 1_000_000 + 30 * 60 * 1000);
  assert.equal((await readdir(path)).length, 2, 'half an hour old: a run may be at it');
  await openFolder(REQUEST, 1_000_000 + 2 * 60 * 60 * 1000);
  assert.deepEqual(await readdir(path), ['notes.partial']);
});

test('the longest names there are have results', async () => {
  const folder = await openFolder();
  for (const name of [`${'x'.repeat(251)}.jpg`, `${'\u00e4'.repeat(125)}.jpg`]) {
    await folder.save(name, IMAGE, ANSWER);
    assert.deepEqual(await folder.find(name, IMAGE), ANSWER);
  }
});

test('a folder that cannot be made, a result that cannot be written or read', async () => {
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, 'a file');
  isError('failed-precondition', 'UNWRITABLE_FILE')(await rejection(openFolder()));
  await rm(path);
  const folder = await openFolder();
  await mkdir(join(path, `a.jpg.${IMAGE.digest.slice(7, 19)}.json`));
  isError('failed-precondition', 'UNWRITABLE_FILE')(await rejection(folder.save('a.jpg', IMAGE, ANSWER)));
  isError('invalid-argument', 'UNREADABLE_FILE')(await rejection(folder.find('a.jpg', IMAGE)));
  assert.equal((await readdir(path)).length, 1, 'nothing partial is left');
});
