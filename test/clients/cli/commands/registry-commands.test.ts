import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, beforeEach, test } from 'node:test';
import { EXIT } from '../../../../clients/cli/exit-codes.ts';
import { writeImported } from '../../../../clients/cli/imported-folder.ts';
import { FakeRegistry } from '../../../support/fake-registry.ts';
import type { TestServer } from '../../../support/grpc-server.ts';
import { fileContent, manifestFor, publishFile } from '../../../support/publishable-files.ts';
import { type CommandResult, runCommand } from '../../../support/run-command.ts';
import { isError } from '../../../support/service-errors.ts';

const GRAPH = fileContent(0, 500, 3);
const MANIFEST = manifestFor({ 'model.onnx': GRAPH });
const DIGEST = publishFile('manifest.json', MANIFEST).ref.digest;

let folder: string;
let registry: FakeRegistry;
let server: TestServer;

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cli-registry-'));
});
beforeEach(async () => {
  await server?.[Symbol.asyncDispose]();
  registry = new FakeRegistry();
  server = await registry.start();
  await rm(join(folder, 'imported'), { recursive: true, force: true });
  await writeImported(join(folder, 'imported'), MANIFEST, [publishFile('model.onnx', GRAPH)]);
});
after(async () => {
  await server[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

function run(...args: string[]): Promise<CommandResult> {
  return runCommand(args, { MASKTERIAL_REGISTRY: server.address });
}

function publish(...args: string[]): Promise<CommandResult> {
  return run('publish', join(folder, 'imported'), '--model', 'CLS', ...args);
}

test('publish creates the model, uploads, promotes', async () => {
  const { code, out, err } = await publish(
    '--promote',
    'production',
    '--label',
    'a=1',
    '--label',
    'b=x=y',
    '--actor',
    'ada',
    '--reason',
    'first',
  );
  assert.equal(code, EXIT.ok, err);
  assert.equal(out, `CLS:1  ${DIGEST}  (uploaded 500 B)\nCLS@production -> CLS:1 (new, revision 1)\n`);
  assert.equal(err, 'created model CLS\nuploading 500 B\nuploading model.onnx\nverifying\n');
  assert.deepEqual(registry.versions[0]?.labels, { a: '1', b: 'x=y' });
  assert.deepEqual([registry.promotions[0]?.actor, registry.promotions[0]?.reason], ['ada', 'first']);
});

test('publish with a label that the registry would refuse leaves no model behind', async () => {
  const { code, err } = await publish('--label', 'Not a key=1');
  assert.equal(code, EXIT.usage);
  assert.match(err, /Not a key/);
  assert.equal(registry.models.size, 0);
});

test('publish again says that nothing is new', async () => {
  await publish();
  const { out } = await publish();
  assert.equal(out, `CLS:1  ${DIGEST}  (published before with this very content)\n`);
  const labelled = await publish('--label', 'team=a');
  assert.equal(labelled.out, `CLS:1  ${DIGEST}  (published before with this very content; its labels are those of then)\n`);
  const json = JSON.parse((await publish('--json')).out);
  assert.deepEqual([json.version, json.is_new, json.uploaded_bytes, json.promoted], [1, false, 0, null]);
});

test('publish --no-create leaves a missing model missing', async () => {
  const { code, err } = await publish('--no-create');
  assert.equal(code, EXIT.failed);
  assert.match(err, /\[MODEL_NOT_FOUND\]/);
  assert.equal(registry.models.size, 0);
});

test('publish needs a name, and files as the manifest says', async () => {
  assert.equal((await run('publish', join(folder, 'imported'))).code, EXIT.usage);
  await writeFile(join(folder, 'imported', 'model.onnx'), 'shorter');
  const shorter = await publish();
  assert.equal(shorter.code, EXIT.failed);
  assert.match(shorter.err, /500 bytes.*7.*\[SIZE_MISMATCH\]/);
  await rm(join(folder, 'imported', 'model.onnx'));
  assert.match((await publish()).err, /model\.onnx.*\[BLOB_NOT_FOUND\]/);
  assert.match((await run('publish', join(folder, 'nowhere'), '--model', 'CLS')).err, /nowhere.*\[UNREADABLE_FILE\]/);
  assert.equal(registry.stagings.length, 0);
});

test('promote takes a number, latest or another alias; a lost race has its own exit code', async () => {
  await publish('--promote', 'canary');
  registry.addVersion('CLS', 2);
  assert.equal((await run('promote', 'CLS@canary')).out, 'CLS@production -> CLS:1 (new, revision 1)\n');
  assert.equal((await run('promote', 'CLS@latest')).out, 'CLS@production -> CLS:2 (was CLS:1, revision 2)\n');
  const json = JSON.parse((await run('promote', 'CLS:1', '--expected-revision', '2', '--json')).out);
  assert.deepEqual([json.version, json.revision, json.previous_version], [1, 3, 2]);
  const lost = await run('promote', 'CLS:2', '--expected-revision', '2', '--json');
  assert.equal(lost.code, EXIT.conflict);
  assert.deepEqual(JSON.parse(lost.err).error.metadata, { current_revision: '3' });
  assert.match((await run('promote', 'CLS:1')).out, /^CLS@production -> CLS:1 \(there already, revision /);
  assert.equal((await run('promote', 'CLS')).code, EXIT.usage);
  assert.equal((await run('promote', 'CLS:1', '--alias', 'latest')).code, EXIT.usage);
});

test('rollback, and the history with the unverified actor', async () => {
  await publish('--promote', 'production', '--actor', 'ada', '--reason', 'first');
  registry.addVersion('CLS', 2);
  await run('promote', 'CLS:2', '--actor', 'bob');
  assert.equal(
    (await run('rollback', 'CLS', '--actor', 'eve', '--reason', 'worse')).out,
    'CLS@production -> CLS:1 (was CLS:2, revision 3)\n',
  );
  const { out } = await run('history', 'CLS');
  assert.equal(
    out,
    [
      'when                  who               action    alias       from -> to  reason',
      '2026-03-04T05:06:07Z  eve (unverified)  rollback  production  2 -> 1      worse',
      '2026-03-04T05:06:07Z  bob (unverified)  promote   production  1 -> 2',
      '2026-03-04T05:06:07Z  ada (unverified)  promote   production  - -> 1      first',
      '',
    ].join('\n'),
  );
  assert.equal((await run('history', 'CLS@production', '--limit', '2', '--json')).out.trimEnd().split('\n').length, 2);
  assert.equal((await run('history', 'CLS@canary')).out, 'no history\n');
  assert.equal((await run('rollback', 'CLS:1')).code, EXIT.usage);
  assert.equal((await run('history', 'CLS:1')).code, EXIT.usage);
});

test('the history says where an alias pointed at a time', async () => {
  await publish('--promote', 'production', '--actor', 'ada', '--reason', 'first');
  registry.addVersion('CLS', 2);
  await run('promote', 'CLS:2', '--actor', 'bob');
  const [newest] = registry.events;
  assert.ok(newest !== undefined);
  newest.time = new Date('2026-05-01T00:00:00.500Z');
  const at = async (time: string, ...more: string[]) => run('history', 'CLS@production', '--at', time, ...more);
  const first = 'CLS@production -> CLS:1 since 2026-03-04T05:06:07Z, promote by ada (unverified): first\n';
  assert.equal((await at('2026-04-01T12:00:00Z')).out, first);
  assert.equal((await run('history', 'CLS', '--alias', 'production', '--at', '2026-05-01')).out, first);
  assert.match((await at('2026-05-01T01:00:00.500+01:00')).out, /-> CLS:2 since .*, promote by bob \(unverified\)\n$/);
  assert.equal(JSON.parse((await at('2026-05-02', '--json')).out).to_version, 2);
  const tooEarly = await at('2026-01-01');
  assert.deepEqual([tooEarly.code, tooEarly.out], [EXIT.failed, '']);
  assert.match(tooEarly.err, /did not exist at 2026-01-01T00:00:00\.000Z.*\[ALIAS_NOT_FOUND\]/);
  for (const time of ['2026-05-01T00:00:00', '2026-13-01', 'yesterday', '05/01/2026', '2026']) {
    assert.equal((await at(time)).code, EXIT.usage, time);
  }
  for (const args of [['CLS'], ['CLS@canary', '--alias', 'production'], ['CLS@production', '--limit', '2']]) {
    assert.equal((await run('history', ...args, '--at', '2026-05-02')).code, EXIT.usage, args.join(' '));
  }
  registry.knowsTimes = false;
  assert.match((await at('2026-04-01')).err, /\[UNIMPLEMENTED\]/);
});

test('models and versions as tables and as JSON Lines', async () => {
  assert.equal((await run('models')).out, 'no models\n');
  await publish('--promote', 'production', '--label', 'a=1');
  for (const name of ['D', 'E']) {
    registry.models.set(name, { name, kind: 4, description: '', labels: { team: name }, latestVersion: 0, aliases: [] });
  }
  assert.equal(
    (await run('models')).out,
    [
      'model  kind            latest  aliases       labels',
      'CLS    classification  1       production=1',
      'D      generic         -                     team=D',
      'E      generic         -                     team=E',
      '',
    ].join('\n'),
  );
  assert.deepEqual(
    (await run('models', '--json')).out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).name),
    ['CLS', 'D', 'E'],
  );
  assert.match((await run('models', '--label', 'team=D')).out, /\nD /);
  assert.equal(
    (await run('versions', 'CLS')).out,
    [
      'version  family  created                size  manifest             aliases     labels',
      `      1  AMM     2026-03-04T05:06:07Z  500 B  ${DIGEST.slice(0, 19)}  production  a=1`,
      '',
    ].join('\n'),
  );
  const json = JSON.parse((await run('versions', 'CLS', '--json')).out);
  assert.deepEqual([json.manifest_digest, json.aliases, json.artifacts[0].size_bytes], [DIGEST, ['production'], 500]);
});

test('an imported folder appears whole or not at all', async () => {
  const target = join(folder, 'imported');
  await assert.rejects(writeImported(target, MANIFEST, []), isError('failed-precondition', 'OUTPUT_EXISTS'));
  const other = join(folder, 'other');
  const wrong = { ...publishFile('model.onnx', Buffer.from('other bytes')), ref: publishFile('model.onnx', GRAPH).ref };
  await assert.rejects(writeImported(other, MANIFEST, [wrong]), isError('data-loss', 'DIGEST_MISMATCH'));
  assert.deepEqual(await readdir(folder), ['imported']);
  assert.deepEqual(await readFile(join(target, 'manifest.json')), MANIFEST);
});
