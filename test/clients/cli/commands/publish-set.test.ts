import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { EXIT } from '../../../../clients/cli/exit-codes.ts';
import { writeImported } from '../../../../clients/cli/imported-folder.ts';
import { ServiceError } from '../../../../proto/wire/errors.ts';
import { writeFiles } from '../../../support/bundle-files.ts';
import { ammFiles, contrastDict, randomAmm, randomGmm } from '../../../support/bundle-models.ts';
import { writeZip } from '../../../support/bundle-zip.ts';
import { FakeRegistry } from '../../../support/fake-registry.ts';
import type { TestServer } from '../../../support/grpc-server.ts';
import { fileContent, manifestFor, publishFile } from '../../../support/publishable-files.ts';
import { type CommandResult, runCommand } from '../../../support/run-command.ts';

const gmm = (seed: number): Record<string, Buffer> => ({ 'contrast_dict.json': contrastDict(randomGmm(['1', '2'], seed)) });
const AMM: Record<string, Buffer> = ammFiles(randomAmm({ classCount: 3, embeddingSize: 4, depth: 1, hasSpectralNorm: true }));
const GRAPH = fileContent(0, 500, 3);

let folder: string;
let registry: FakeRegistry;
let server: TestServer;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cli-publish-set-'));
});
beforeEach(async () => {
  registry = new FakeRegistry();
  server = await registry.start();
});
afterEach(async () => {
  await server[Symbol.asyncDispose]();
  await rm(join(folder, 'models'), { recursive: true, force: true });
});
after(() => rm(folder, { recursive: true }));

const models = (...parts: string[]): string => join(folder, 'models', ...parts);

function write(name: string, files: Readonly<Record<string, Uint8Array>>): void {
  writeFiles(models(name), files);
}

function zipOf(files: Readonly<Record<string, Uint8Array>>): Buffer {
  return writeZip(Object.entries(files).map(([name, bytes]) => ({ name, bytes })));
}

const inFolder = (name: string, files: Readonly<Record<string, Uint8Array>>): Record<string, Uint8Array> =>
  Object.fromEntries(Object.entries(files).map(([file, bytes]) => [`${name}/${file}`, bytes]));

function run(args: readonly string[], signal?: AbortSignal): Promise<CommandResult> {
  return runCommand(['publish', ...args], { MASKTERIAL_REGISTRY: server.address }, signal);
}

const rowsOf = ({ out }: CommandResult): Record<string, unknown>[] =>
  out
    .trimEnd()
    .split('\n')
    .map((line) => Object(JSON.parse(line)));

test("models of one name in the folders of MaskTerial's own server are different models, together or one by one", async () => {
  write('classification_models/AMM/WSe2', AMM);
  write('classification_models/GMM/WSe2', gmm(1));
  write('other/GMM/WSe2', gmm(2));
  const { code, err } = await run([models()]);
  assert.equal(code, EXIT.ok, err);
  assert.equal((await run([models('classification_models', 'GMM', 'WSe2')])).code, EXIT.ok);
  assert.equal((await run([models('classification_models', 'AMM')])).code, EXIT.ok);
  assert.deepEqual(registry.versions.map(({ model, version }) => `${model}:${version}`).toSorted(), [
    'CLS_AMM_WSe2:1',
    'CLS_GMM_WSe2:1',
    'WSe2:1',
  ]);
});

test('publishes every bundle of a folder: folders at any depth, zips, zips of several, what an import wrote', async () => {
  write('CLS_GMM_A', gmm(1));
  write('deep/down/CLS_AMM_B', { ...AMM, 'train.log': Buffer.alloc(3) });
  write('.', {
    'CLS_GMM_C.zip': zipOf(inFolder('CLS_GMM_C', gmm(3))),
    'two.zip': zipOf({ ...inFolder('x/CLS_GMM_D', gmm(4)), ...inFolder('x/CLS_GMM_E', gmm(5)), 'README.md': Buffer.alloc(1) }),
    'pictures.zip': zipOf({ 'a.jpg': Buffer.alloc(3) }),
    'notes.txt': Buffer.alloc(3),
  });
  await writeImported(models('CLS_Imported'), manifestFor({ 'model.onnx': GRAPH }), [publishFile('model.onnx', GRAPH)]);
  const { code, out, err } = await run([models(), '--promote', 'production', '--label', 'from=test']);
  assert.equal(code, EXIT.ok, err);
  const names = ['CLS_AMM_B', 'CLS_GMM_A', 'CLS_GMM_C', 'CLS_GMM_D', 'CLS_GMM_E', 'CLS_Imported'];
  assert.deepEqual(
    registry.versions.map(({ model, version }) => `${model}:${version}`).toSorted(),
    names.map((name) => `${name}:1`),
  );
  assert.deepEqual(registry.promotions.map(({ model }) => model).toSorted(), names);
  assert.deepEqual(new Set(registry.versions.map(({ labels }) => labels['from'])), new Set(['test']));
  assert.match(out, /^model +version +files +uploaded +there before\n/);
  assert.match(out, /\nCLS_GMM_A +1 +new +2 +[\d.]+ K?B +0 B\n/);
  assert.match(out, /\n6 new, 0 known before; uploaded 11 files, .*; there before 0 B\n$/);
  assert.match(err, /^\[1\/6\] .*CLS_GMM_A\n\[1\/6\] created model CLS_GMM_A\n/);
  assert.match(
    err,
    /\n\[1\/6\] uploading model\.onnx\n\[1\/6\] uploading check\.json\n\[1\/6\] verifying\n\[1\/6\] CLS_GMM_A:1 uploaded /,
  );
});

test('the second time nothing is sent, and every version is known', async () => {
  write('CLS_GMM_A', gmm(1));
  write('CLS_AMM_B', AMM);
  const first = rowsOf(await run([models(), '--keep-sources', '--json']));
  const uploads = registry.blobs.uploads.length;
  const second = await run([models(), '--keep-sources', '--json']);
  assert.equal(second.code, EXIT.ok);
  assert.equal(registry.blobs.uploads.length, uploads);
  const [amm, , total] = rowsOf(second);
  assert.deepEqual(
    [amm?.['model'], amm?.['version'], amm?.['is_new'], amm?.['files'], amm?.['uploaded_files'], amm?.['held_bytes']],
    ['CLS_AMM_B', 1, false, 6, 0, first[0]?.['uploaded_bytes']],
  );
  const held = Number(first[2]?.['uploaded_bytes']);
  const counts = {
    bundles: 2,
    new: 0,
    known: 2,
    failed: 0,
    not_tried: 0,
    uploaded_files: 0,
    uploaded_bytes: 0,
    held_bytes: held,
  };
  assert.deepEqual(total, counts);
  const third = await run([models(), '--keep-sources', '--label', 'team=optics']);
  assert.match(third.err, /CLS_GMM_A:1 published before with this very content; its labels are those of then/);
});

test('goes on after bundles that fail, and says why each one did', async () => {
  const { 'loc.npy': _, 'cov.npy': __, 'model.pth': ___, ...incomplete } = AMM;
  write('A_incomplete', incomplete);
  write('B_damaged', { 'contrast_dict.json': Buffer.from('{') });
  write('C_unsupported', { 'model.joblib': Buffer.from([0x78, 0x9c]) });
  write('D two words', gmm(1));
  write('E_two', { ...gmm(1), ...AMM });
  write('F_good', gmm(2));
  write('.', { 'G_broken.zip': Buffer.from('no zip') });
  registry.fail = (what, count) => {
    if (what === 'promoteVersion' && count === 1) {
      throw new ServiceError('not-found', 'ALIAS_NOT_FOUND', 'on purpose');
    }
  };
  write('H_not_promoted', gmm(3));
  const result = await run([models(), join(folder, 'nowhere'), '--promote', 'production']);
  assert.equal(result.code, EXIT.failed);
  assert.deepEqual(registry.versions.map(({ model }) => model).toSorted(), ['F_good', 'H_not_promoted']);
  assert.match(result.out, /F_good +1 +new[^]*2 new, 0 known before/);
  const failures = result.err.slice(result.err.indexOf('8 of 9 bundles failed:'));
  for (const line of [
    /A_incomplete: .*misses model\.pth.*\[INVALID_BUNDLE\]/,
    /B_damaged: .*\[INVALID_BUNDLE\]/,
    /C_unsupported: .*compressed.*\[UNSUPPORTED_MODEL\]/,
    /D two words: .*--model.*\[USAGE\]/,
    /E_two: .*2 bundles.*\[INVALID_BUNDLE\]/,
    /G_broken\.zip: .*not a readable zip.*\[INVALID_BUNDLE\]/,
    /F_good: on purpose \[ALIAS_NOT_FOUND\]/,
    /nowhere: .*no such file.*\[UNREADABLE_FILE\]/,
  ]) {
    assert.match(failures, line);
  }
  const rows = rowsOf(await run([models(), '--json']));
  const { kind, reason } = Object(rows[0]?.['error']);
  assert.deepEqual([rows[0]?.['model'], kind, reason], [null, 'invalid-argument', 'INVALID_BUNDLE']);
  assert.deepEqual([rows.at(-1)?.['failed'], rows.at(-1)?.['known'], rows.at(-1)?.['new']], [6, 2, 0]);
});

test("what lies in or around a whole bundle is nobody's incomplete one", async () => {
  write('.', { 'config.yaml': Buffer.alloc(1) });
  write('CLS_GMM_A', { ...gmm(1), 'old/meta_data.json': Buffer.alloc(1), 'old/other.zip': Buffer.from('no zip') });
  const single = await run([models()]);
  assert.equal(single.code, EXIT.ok, single.err);
  assert.match(single.out, /^CLS_GMM_A:1 {2}sha256:/);
  write('CLS_GMM_B', gmm(2));
  const { code, out } = await run([models()]);
  assert.equal(code, EXIT.ok);
  assert.match(out, /1 new, 1 known before/);
});

test('several paths are one set; a name is for one bundle only', async () => {
  write('CLS_GMM_A', gmm(1));
  write('CLS_GMM_B', gmm(2));
  const named = await run([models('CLS_GMM_A'), models('CLS_GMM_B'), '--model', 'X']);
  assert.equal(named.code, EXIT.usage);
  assert.match((await run([models(), '--model', 'X'])).err, /holds 2 bundles.*\[INVALID_BUNDLE\]/);
  assert.equal(registry.models.size, 0);
  const { code, out } = await run([models('CLS_GMM_B'), models('CLS_GMM_A')]);
  assert.equal(code, EXIT.ok);
  assert.match(out, /CLS_GMM_B.*\nCLS_GMM_A/);
  assert.equal((await run([models(), '--bundle', 'CLS_GMM_A', '--model', 'Y'])).code, EXIT.ok);
  assert.equal(registry.versions.at(-1)?.model, 'Y');
});

test('a registry that is gone or full ends the set; what was done is said', async () => {
  for (const name of ['CLS_GMM_A', 'CLS_GMM_B', 'CLS_GMM_C']) {
    write(name, gmm(name.charCodeAt(8)));
  }
  registry.fail = (what) => {
    if (what === 'stageVersion' && registry.versions.length === 1) {
      throw new ServiceError('resource-exhausted', 'STORAGE_FULL', 'full');
    }
  };
  const { code, out, err } = await run([models()]);
  assert.equal(code, EXIT.unavailable);
  assert.match(out, /CLS_GMM_B +- +failed/);
  assert.match(err, /1 of 3 bundles failed:\n.*CLS_GMM_B: full \[STORAGE_FULL\]\n1 bundle not tried\n$/);
});

test('a registry whose store refuses it ends the set', async () => {
  for (const name of ['CLS_GMM_A', 'CLS_GMM_B']) {
    write(name, gmm(name.charCodeAt(8)));
  }
  registry.fail = () => {
    throw new ServiceError('failed-precondition', 'BUCKET_ACCESS_DENIED', 'bucket lab cannot be used');
  };
  const { code, err } = await run([models()]);
  assert.equal(code, EXIT.failed);
  assert.match(err, /1 of 2 bundles failed:\n.*CLS_GMM_A: bucket lab .*\n1 bundle not tried\n$/);
});

test('ctrl-c ends the set after saying what was done', async () => {
  write('CLS_GMM_A', gmm(1));
  write('CLS_GMM_B', gmm(2));
  const controller = new AbortController();
  registry.fail = (what) => {
    if (what === 'stageVersion' && registry.versions.length === 1) {
      controller.abort(new ServiceError('cancelled', 'CANCELLED', 'stopped'));
    }
  };
  const { code, out, err } = await run([models()], controller.signal);
  assert.equal(code, EXIT.interrupted);
  assert.match(out, /CLS_GMM_A +1 +new/);
  assert.match(err, /1 of 2 bundles failed/);
});
