import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { EXIT } from '../../../../clients/cli/exit-codes.ts';
import { createClassifier, publish } from '../../../support/registry/publish.ts';
import { type RegistryServer, startRegistryServer } from '../../../support/registry/registry-server.ts';
import { smallVersion } from '../../../support/registry/sample-version.ts';
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
