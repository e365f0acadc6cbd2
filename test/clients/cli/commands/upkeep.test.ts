import assert from 'node:assert/strict';
import { chmod, rm, writeFile } from 'node:fs/promises';
import { after, before, beforeEach, test } from 'node:test';
import { EXIT } from '../../../../clients/cli/exit-codes.ts';
import { layoutOf } from '../../../../registry/adapters/embedded/layout.ts';
import { createClassifier, publish, stage } from '../../../support/registry/publish.ts';
import { type RegistryServer, startRegistryServer } from '../../../support/registry/registry-server.ts';
import { fileRef, smallVersion } from '../../../support/registry/sample-version.ts';
import { temporaryFolder } from '../../../support/registry/temporary-folder.ts';
import { type CommandResult, runCommand } from '../../../support/run-command.ts';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let server: RegistryServer;

before(async () => {
  folder = await temporaryFolder();
  server = await startRegistryServer(folder.path);
});
after(async () => {
  await server[Symbol.asyncDispose]();
  await folder[Symbol.asyncDispose]();
});

let model = '';
let models = 0;
beforeEach(async () => {
  model = `m${++models}`;
  await createClassifier(server.registry, model);
  await publish(server.registry, model, smallVersion('one'));
  await publish(server.registry, model, smallVersion('two'));
});

function run(...args: string[]): Promise<CommandResult> {
  return runCommand(args, { MASKTERIAL_REGISTRY: server.running.address });
}

test('deprecate shows in the list of versions and warns who promotes', async () => {
  assert.ok(!(await run('versions', model)).out.includes('note'));
  const { code, out } = await run('deprecate', `${model}:1`, '--reason', 'use 2');
  assert.deepEqual([code, out], [EXIT.ok, `${model}:1 is deprecated: use 2\n`]);
  const lines = (await run('versions', model)).out.trimEnd().split('\n');
  assert.match(lines[0] ?? '', /note$/);
  assert.match(lines[2] ?? '', /deprecated: use 2$/);
  const [, first] = (await run('versions', model, '--json')).out.trimEnd().split('\n');
  assert.equal(JSON.parse(first ?? '').deprecation.reason, 'use 2');
  const promoted = await run('promote', `${model}:1`);
  assert.deepEqual([promoted.code, promoted.err], [EXIT.ok, `warning: ${model}:1 is deprecated: use 2\n`]);
  assert.equal((await run('deprecate', `${model}:1`, '--undo')).out, `${model}:1 is not deprecated\n`);
  assert.equal(JSON.parse((await run('deprecate', `${model}:1`, '--undo', '--json')).out).deprecation, null);
  assert.ok(!(await run('versions', model)).out.includes('note'));
});

test('delete takes a version away that nothing points at', async () => {
  await run('promote', `${model}:2`);
  const used = await run('delete', `${model}:2`);
  assert.equal(used.code, EXIT.failed);
  assert.match(used.err, /production.*\[VERSION_IN_USE\]/);
  assert.equal((await run('delete', `${model}:1`, '--reason', 'wrong')).out, `${model}:1 is deleted\n`);
  assert.match((await run('delete', `${model}:1`)).err, /deleted.*wrong.*\[VERSION_NOT_FOUND\]/);
  assert.match((await run('promote', `${model}:1`)).err, /\[VERSION_DELETED\]/);
  await publish(server.registry, model, smallVersion('three'));
  const json = JSON.parse((await run('delete', `${model}:3`, '--json')).out);
  assert.deepEqual(json, { model, version: 3, deleted: true });
});

test('what changes a version names it by its number', async () => {
  for (const command of ['deprecate', 'delete']) {
    for (const reference of [model, `${model}@latest`, `${model}@production`]) {
      assert.equal((await run(command, reference)).code, EXIT.usage);
    }
  }
});

test('gc says what it would remove, and removes it', async () => {
  await run('delete', `${model}:2`);
  assert.equal((await run('gc', '--dry-run')).out, 'would remove 0 files (0 B) and 0 abandoned publishes\n');
  const dry = JSON.parse((await run('gc', '--dry-run', '--grace', '0', '--json')).out);
  assert.deepEqual([dry.dry_run, dry.staging_count], [true, 0]);
  assert.ok(dry.blob_count >= 3 && dry.blobs.length === dry.blob_count && dry.blob_bytes > 1200);
  await stage(server.registry, model, smallVersion('abandoned'));
  const { code, out } = await run('gc', '--grace', '0');
  assert.equal(code, EXIT.ok);
  assert.match(
    out,
    new RegExp(`^sha256:[0-9a-f]{64}  .*\\nremoved ${dry.blob_count + 1} files \\(.*\\) and 1 abandoned publish\\n$`, 's'),
  );
  assert.equal((await run('gc', '--grace', '-1')).code, EXIT.usage);
  assert.equal((await run('versions', model)).code, EXIT.ok);
});

test('verify reads everything again, and names what is wrong or missing', async () => {
  const good = await run('verify', model);
  assert.equal(good.code, EXIT.ok);
  assert.match(good.out, /^2 versions, .* read: all as published\n$/);
  assert.equal((await run('verify')).code, EXIT.ok);
  const sample = smallVersion('verified');
  await publish(server.registry, model, sample);
  const layout = layoutOf(folder.path);
  const path = layout.blob(fileRef(sample, 0).digest);
  await chmod(path, 0o644);
  await writeFile(path, Buffer.alloc(1000));
  await rm(layout.blob(fileRef(sample, 1).digest));
  const bad = await run('verify');
  assert.equal(bad.code, EXIT.failed);
  assert.ok(bad.out.includes(`${model}:3  file-0.onnx  ${fileRef(sample, 0).digest}: `));
  assert.match(bad.out, /file-0\.onnx.*\[DIGEST_MISMATCH\]\n.*:3  file-1\.onnx.*\[BLOB_NOT_FOUND\]\n/);
  assert.match(bad.out, / 2 wrong or missing\n$/);
  const [first, second] = (await run('verify', model, '--json')).out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual([first.version, first.is_valid, first.findings.length], [3, false, 2]);
  assert.deepEqual([second.version, second.is_valid, second.findings], [2, true, []]);
  await rm(layout.blob(fileRef(sample, 0).digest));
  assert.match((await run('verify', 'none')).err, /\[MODEL_NOT_FOUND\]/);
});
