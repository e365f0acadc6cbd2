import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import process from 'node:process';
import { after, before, test } from 'node:test';
import { EXIT } from '../../../../clients/cli/exit-codes.ts';
import { writeImported } from '../../../../clients/cli/imported-folder.ts';
import { encodeManifest } from '../../../../proto/wire/manifest.ts';
import { writeFiles } from '../../../support/bundle-files.ts';
import { PUBLISHED_L2, writeJoblib } from '../../../support/bundle-joblib.ts';
import { ammFiles, mlpFiles, randomAmm, randomMlp } from '../../../support/bundle-models.ts';
import { checkBytes, importedVersion, publishFiles, withCheck } from '../../../support/imported-version.ts';
import { m2fFiles, randomM2f, TINY } from '../../../support/m2f/random-model.ts';
import { runCommand } from '../../../support/run-command.ts';

const SHAPE = { classCount: 3, embeddingSize: 4, depth: 1, hasSpectralNorm: true };
const mlp = (seed: number): Record<string, Buffer> => ({ ...mlpFiles(randomMlp({ ...SHAPE, seed })) });
let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cli-check-'));
  await mkdir(join(folder, 'tmp'));
  // Of this process alone: others leave folders of the same kind.
  process.env['TMPDIR'] = join(folder, 'tmp');
});
after(() => rm(folder, { recursive: true }));

for (const [family, files, values] of [
  ['AMM', { ...ammFiles(randomAmm(SHAPE)) }, /\d+ values in 1 case/],
  ['MLP', mlp(1), /\d+ values in 1 case/],
  ['M2F', m2fFiles(randomM2f(TINY)), /\b910 values in 1 case/],
  ['L2', { 'model.joblib': writeJoblib(PUBLISHED_L2) }, /64 values in 1 case/],
] as const) {
  test(`a bundle is imported, loaded and checked: ${family}`, async () => {
    writeFiles(join(folder, family), files);
    const { code, out, err } = await runCommand(['check', join(folder, family)]);
    assert.equal(code, EXIT.ok, err);
    assert.ok(out.startsWith(`${join(folder, family)}: loads, and meets its golden check: `));
    assert.match(out, values);
    assert.deepEqual(await readdir(join(folder, 'tmp')), []);
  });
}

test('what an import wrote is checked; with the check of other weights it fails and says where', async () => {
  const [good, other] = [await importedVersion(mlp(1)), await importedVersion(mlp(2))];
  for (const [name, version] of [
    ['good', good],
    ['bad', withCheck(good, checkBytes(other))],
    ['bare', withCheck(good, undefined)],
  ] as const) {
    await writeImported(join(folder, name), encodeManifest(version.manifest), publishFiles(version));
  }
  assert.equal((await runCommand(['check', join(folder, 'good')])).code, EXIT.ok);
  const bad = await runCommand(['check', join(folder, 'bad'), '--json']);
  assert.deepEqual([bad.code, bad.out], [EXIT.failed, '']);
  const { error } = JSON.parse(bad.err);
  assert.deepEqual([error.kind, error.reason, error.metadata.output], ['failed-precondition', 'GOLDEN_CHECK_FAILED', 'logit']);
  const bare = await runCommand(['check', join(folder, 'bare')]);
  assert.deepEqual([bare.code, bare.out.endsWith('carries no golden check\n')], [EXIT.ok, true]);
  const json = JSON.parse((await runCommand(['check', join(folder, 'bare'), '--json'])).out);
  assert.deepEqual([json.cases, json.values, json.family], [0, 0, 'MLP']);
});

test('a file that is not what its manifest says is no version to check', async () => {
  const version = await importedVersion(mlp(1));
  const path = join(folder, 'changed');
  await writeImported(path, encodeManifest(version.manifest), publishFiles(version));
  const check = Buffer.from(checkBytes(version));
  check[check.length - 2] = 0x20;
  await writeFile(join(path, 'check.json'), check);
  const { code, err } = await runCommand(['check', path]);
  assert.deepEqual([code, /\[DIGEST_MISMATCH\]/.test(err)], [EXIT.failed, true]);
});

test('what is neither there nor a name is a mistake of usage', async () => {
  const { code, err } = await runCommand(['check', './nowhere/at-all']);
  assert.deepEqual([code, err], [EXIT.usage, 'maskterial: error: ./nowhere/at-all: no such file or folder [USAGE]\n']);
  assert.equal((await runCommand(['check', 'no name'])).code, EXIT.usage);
});
