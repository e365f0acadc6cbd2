import assert from 'node:assert/strict';
import { statSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { EXIT } from '../../../../clients/cli/exit-codes.ts';
import { ORIGINAL_DEPLOYMENT } from '../../../../clients/zenodo/select.ts';
import { parseManifest } from '../../../../proto/wire/manifest.ts';
import { ammFiles, contrastDict, randomAmm, randomGmm } from '../../../support/bundle-models.ts';
import { writeZip } from '../../../support/bundle-zip.ts';
import { eventually } from '../../../support/eventually.ts';
import { FakeRegistry } from '../../../support/fake-registry.ts';
import { type CommandResult, runCommand } from '../../../support/run-command.ts';
import { ZenodoServer } from '../../../support/zenodo-server.ts';

const ID = '15765516';
const AMM: Record<string, Buffer> = ammFiles(randomAmm({ classCount: 3, embeddingSize: 4, depth: 1, hasSpectralNorm: true }));

function zip(folder: string, files: Readonly<Record<string, Uint8Array>>): Buffer {
  return writeZip(Object.entries(files).map(([name, bytes]) => ({ name: `${folder}/${name}`, bytes })));
}

function gmmZip(name: string, seed: number): Buffer {
  return zip(name, { 'contrast_dict.json': contrastDict(randomGmm(['1', '2'], seed)) });
}

const RECORD = new Map<string, Uint8Array>([
  ['CLS_AMM_WS2.zip', zip('CLS_AMM_WS2', AMM)],
  ['CLS_GMM_WS2.zip', gmmZip('CLS_GMM_WS2', 2)],
  ['CLS_GMM_MoSe2.zip', gmmZip('nested/models', 3)],
  ['README.md', Buffer.from('read me')],
]);

interface Scene {
  readonly zenodo: ZenodoServer;
  readonly registry: FakeRegistry;
  readonly folder: string;
  readonly run: (args: readonly string[], signal?: AbortSignal) => Promise<CommandResult>;
}

async function scene(t: TestContext, files: ReadonlyMap<string, Uint8Array> = RECORD): Promise<Scene> {
  const zenodo = await ZenodoServer.start(ID, files);
  t.after(() => zenodo[Symbol.asyncDispose]());
  const registry = new FakeRegistry();
  const server = await registry.start();
  t.after(() => server[Symbol.asyncDispose]());
  const folder = await mkdtemp(join(tmpdir(), 'import-record-'));
  t.after(() => rm(folder, { recursive: true }));
  const env = { MASKTERIAL_REGISTRY: server.address, MASKTERIAL_ZENODO: zenodo.url, XDG_CACHE_HOME: join(folder, 'cache') };
  return { zenodo, registry, folder, run: (args, signal) => runCommand(['import', `zenodo:${ID}`, ...args], env, signal) };
}

const published = ({ registry }: Scene): string[] => registry.versions.map(({ model }) => model).toSorted();
const downloads = ({ folder }: Scene): Promise<string[]> => readdir(join(folder, 'cache', 'maskterial', 'zenodo', ID));

test('every bundle of a record is downloaded, imported, published and promoted; nothing is left behind', async (t) => {
  const the = await scene(t);
  const { code, out, err } = await the.run(['--promote', 'production']);
  assert.equal(code, EXIT.ok, err);
  assert.deepEqual(published(the), ['CLS_AMM_WS2', 'CLS_GMM_MoSe2', 'CLS_GMM_WS2']);
  assert.equal(the.registry.promotions.length, 3);
  assert.match(err, /^record 15765516 "Models": 3 bundles of /);
  assert.match(err, /\[1\/3\] fetching CLS_AMM_WS2\.zip\n/);
  assert.match(out, /\n3 new, 0 known before; /);
  assert.deepEqual(await downloads(the), []);
});

test('a version says where it comes from, unless the caller knows better', async (t) => {
  const the = await scene(t);
  await the.run(['--only', 'CLS_GMM_WS2', '--licence', 'MIT', '--downloads', join(the.folder, 'kept')]);
  const { doi, sourceUrl, licence, sourceFiles } = parseManifest(
    the.registry.stagings.at(-1)?.manifestJson ?? Buffer.alloc(0),
  ).lineage;
  assert.deepEqual(
    { doi, sourceUrl, licence, files: sourceFiles.map(({ name }) => name) },
    {
      doi: `10.5281/zenodo.${ID}`,
      sourceUrl: `${the.zenodo.url}/records/${ID}/files/CLS_GMM_WS2.zip`,
      licence: 'MIT',
      files: ['contrast_dict.json'],
    },
  );
  assert.deepEqual(await readdir(join(the.folder, 'kept')), ['CLS_GMM_WS2.zip']);
});

test('patterns choose; one without a match is wrong usage and nothing is fetched', async (t) => {
  const the = await scene(t);
  assert.equal((await the.run(['--only', '*AMM*', '--only', '*MoSe2'])).code, EXIT.ok);
  assert.deepEqual(published(the), ['CLS_AMM_WS2', 'CLS_GMM_MoSe2']);
  const asked = the.zenodo.asked.length;
  const { code, err } = await the.run(['--only', 'SEG_*']);
  assert.notEqual(code, EXIT.ok);
  assert.match(err, /"SEG_\*" matches none of CLS_AMM_WS2/);
  assert.equal(the.zenodo.asked.length, asked);
});

test("the original deployment's models, when a record has them", async (t) => {
  const all = [...ORIGINAL_DEPLOYMENT, 'CLS_GMM_WS2'].map((name, seed): [string, Buffer] => [`${name}.zip`, gmmZip(name, seed)]);
  const the = await scene(t, new Map(all));
  const { code, err } = await the.run(['--original-deployment']);
  assert.equal(code, EXIT.ok, err);
  assert.deepEqual(published(the), ORIGINAL_DEPLOYMENT.toSorted());
  const lacking = await scene(t);
  const { code: second, err: why } = await lacking.run(['--original-deployment']);
  assert.equal(second, EXIT.failed);
  assert.match(why, /the record has no SEG_M2F_GrapheneH/);
});

test('a bundle that is wrong, or arrives wrong, fails alone and is named; what is sound is published', async (t) => {
  const the = await scene(
    t,
    new Map([...RECORD, ['CLS_GMM_Bad.zip', zip('CLS_GMM_Bad', { 'contrast_dict.json': Buffer.from('{') })]]),
  );
  the.zenodo.fail('CLS_AMM_WS2.zip', {
    kind: 'other-bytes',
    bytes: Buffer.alloc(RECORD.get('CLS_AMM_WS2.zip')?.byteLength ?? 0),
  });
  const { code, err } = await the.run([]);
  assert.equal(code, EXIT.failed);
  assert.deepEqual(published(the), ['CLS_GMM_MoSe2', 'CLS_GMM_WS2']);
  assert.match(
    err,
    /2 of 4 bundles failed:\n {2}zenodo:15765516\/CLS_AMM_WS2\.zip: .*MD5.*\n {2}zenodo:15765516\/CLS_GMM_Bad\.zip: /,
  );
  // The next run fetches what was wrong again, and what was right, but could not be imported, not.
  const asked = the.zenodo.asked.length;
  assert.equal((await the.run(['--only', 'CLS_AMM_WS2', '--only', 'CLS_GMM_Bad'])).code, EXIT.failed);
  assert.deepEqual(
    the.zenodo.asked.slice(asked).map(({ name }) => name),
    ['CLS_AMM_WS2.zip'],
  );
  assert.deepEqual(published(the), ['CLS_AMM_WS2', 'CLS_GMM_MoSe2', 'CLS_GMM_WS2']);
});

test('an interrupted run is gone on with: what was published is known, what was half fetched is not fetched anew', async (t) => {
  const the = await scene(t);
  const size = RECORD.get('CLS_GMM_WS2.zip')?.byteLength ?? 0;
  the.zenodo.fail('CLS_GMM_WS2.zip', { kind: 'stall', afterBytes: size - 10 });
  const over = new AbortController();
  const running = the.run([], over.signal);
  const part = join(the.folder, 'cache', 'maskterial', 'zenodo', ID, 'CLS_GMM_WS2.zip.part');
  await eventually(() => statSync(part, { throwIfNoEntry: false })?.size === size - 10);
  over.abort();
  assert.equal((await running).code, EXIT.interrupted);
  const { code, out, err } = await the.run([]);
  assert.equal(code, EXIT.ok, err);
  assert.match(out, /\n2 new, 1 known before; /);
  assert.equal(the.zenodo.asked.at(-2)?.range, `bytes=${size - 10}-`);
});

test('a record that is not there, and options that belong to another source', async (t) => {
  const the = await scene(t);
  the.zenodo.recordAnswer = { status: 404, body: '{}' };
  const { code, err } = await the.run([]);
  assert.equal(code, EXIT.failed);
  assert.match(err, /there is no record 15765516/);
  assert.equal((await the.run(['--out', 'folder'])).code, EXIT.usage);
  assert.equal((await runCommand(['import', './folder', '--only', 'x'])).code, EXIT.usage);
  assert.equal((await runCommand(['import', 'zenodo:latest'])).code, EXIT.usage);
});
