import assert from 'node:assert/strict';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { EXIT } from '../../../../clients/cli/exit-codes.ts';
import { ServiceError } from '../../../../proto/wire/errors.ts';
import { failWith, type PredictScript } from '../../../support/fake-inference.ts';
import { answerBy, pictureOf, predictCommand } from '../../../support/predict-command.ts';
import { byVersion, scanFolder } from '../../../support/scan-folder.ts';

test('a folder run again asks for nothing and prints the same', async (t) => {
  const { scan, out } = await scanFolder(t);
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

test('what is new, what changed and what failed is done; the rest is not asked for again', async (t) => {
  const { scan, out, nameOf } = await scanFolder(t);
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

test('a kept result that cannot be read is one failure at the end, and the others are done', async (t) => {
  const { scan, out } = await scanFolder(t);
  await predictCommand([scan, '--out', out], byVersion(3));
  const kept = (await readdir(out)).find((name) => name.startsWith('2.png')) ?? assert.fail('no result');
  await rm(join(out, kept));
  await mkdir(join(out, kept));
  const again = await predictCommand([scan, '--out', out], byVersion(3));
  assert.equal(again.code, EXIT.failed);
  assert.match(again.err, /^2 of 3 images done \(2 of them before\), 4 flakes/m);
  assert.ok(again.err.includes(kept), again.err);
});

test('where another version answers now, what the old one did is done again, unless it is to be kept', async (t) => {
  const { scan, out } = await scanFolder(t);
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

test('other options, other results; filters are none of them', async (t) => {
  const { scan, out } = await scanFolder(t);
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

test('an interrupted run lists what was done and keeps it; the next one does the rest', async (t) => {
  const { scan, out, nameOf } = await scanFolder(t);
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

test('where results cannot be kept, the run ends and says so', async (t) => {
  const { scan, out } = await scanFolder(t);
  await writeFile(out, 'a file');
  const early = await predictCommand([scan, '--out', out], byVersion(3));
  assert.equal(early.code, EXIT.failed);
  assert.equal(early.inference.requests.length, 0);
  assert.match(early.err, /\[UNWRITABLE_FILE\]$/m);
});

test('a result that cannot be saved ends the run; a dataset that cannot be begun lets none begin', async (t) => {
  const { scan, out } = await scanFolder(t);
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
