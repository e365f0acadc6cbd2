import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { Fetcher } from '../../../clients/zenodo/fetcher.ts';
import { parseRecordName, readRecord } from '../../../clients/zenodo/record.ts';
import { ORIGINAL_DEPLOYMENT, selectBundles } from '../../../clients/zenodo/select.ts';
import { manualRetry } from '../../support/manual-retry.ts';
import { refusedPort } from '../../support/refused-port.ts';
import { hasViolationAt, isError, rejection } from '../../support/service-errors.ts';
import { ZenodoServer } from '../../support/zenodo-server.ts';

const ID = '15765516';
const RETRY = { attempts: 3, firstDelayMs: 100, maxDelayMs: 1000 };
const NO_ABORT = new AbortController().signal;

for (const [text, id] of [
  ['zenodo:15765516', ID],
  ['10.5281/zenodo.15765516', ID],
  ['doi:10.5281/zenodo.15765516', ID],
  ['https://doi.org/10.5281/zenodo.15765516', ID],
  ['https://zenodo.org/records/15765516', ID],
  ['https://zenodo.org/record/15765516/', ID],
  ['zenodo:', undefined],
  ['zenodo:12x', undefined],
  ['zenodo:1/../2', undefined],
  ['./folder', undefined],
  ['https://elsewhere.org/records/1', undefined],
] as const) {
  test(`"${text}" names ${id === undefined ? 'no record' : 'a record'}`, () => {
    assert.equal(parseRecordName(text), id);
  });
}

async function start(
  t: TestContext,
  names: readonly string[] = ['CLS_AMM_WS2.zip'],
): Promise<{ server: ZenodoServer; fetcher: Fetcher }> {
  const server = await ZenodoServer.start(ID, new Map(names.map((name) => [name, Buffer.from(name)])));
  t.after(() => server[Symbol.asyncDispose]());
  return { server, fetcher: new Fetcher(manualRetry(), { retry: RETRY, idleMs: 20_000 }) };
}

test('a record tells its files and where they come from', async (t) => {
  const { server, fetcher } = await start(t);
  const record = await readRecord(fetcher, `${server.url}/`, ID, NO_ABORT);
  assert.deepEqual(
    { ...record, files: record.files.map(({ name, sizeBytes, url }) => ({ name, sizeBytes, url })) },
    {
      id: ID,
      doi: '10.5281/zenodo.15765516',
      title: 'Models',
      licence: 'mit',
      pageUrl: `${server.url}/records/${ID}`,
      files: [{ name: 'CLS_AMM_WS2.zip', sizeBytes: 15, url: `${server.url}/api/records/${ID}/files/CLS_AMM_WS2.zip/content` }],
    },
  );
});

test('where a file has no link, it lies at its documented address', async (t) => {
  const { server, fetcher } = await start(t);
  const file = { key: 'a b.zip', size: 1, checksum: 'md5:00000000000000000000000000000000' };
  server.recordAnswer = { status: 200, body: JSON.stringify({ files: [file] }) };
  const { files } = await readRecord(fetcher, server.url, ID, NO_ABORT);
  assert.equal(files[0]?.url, `${server.url}/records/${ID}/files/a%20b.zip?download=1`);
});

const FILE = { key: 'a.zip', size: 1, checksum: 'md5:00000000000000000000000000000000' };
for (const [what, status, body, kind, reason] of [
  ['an unknown record', 404, '{}', 'not-found', 'RECORD_NOT_FOUND'],
  ['a withdrawn record', 410, '{}', 'not-found', 'RECORD_NOT_FOUND'],
  ['a restricted record', 403, '{}', 'failed-precondition', 'RECORD_RESTRICTED'],
  ['an answer that is a page', 200, '<html>', 'data-loss', 'INVALID_RECORD'],
  ['an answer without files', 200, '{"id": 1}', 'data-loss', 'INVALID_RECORD'],
  ['another status', 302, '', 'data-loss', 'INVALID_RECORD'],
  ['a name with a folder', 200, JSON.stringify({ files: [{ ...FILE, key: '../a.zip' }] }), 'data-loss', 'INVALID_RECORD'],
  ['another checksum', 200, JSON.stringify({ files: [{ ...FILE, checksum: 'sha256:00' }] }), 'data-loss', 'INVALID_RECORD'],
  [
    'a file elsewhere',
    200,
    JSON.stringify({ files: [{ ...FILE, links: { self: 'file:///etc/passwd' } }] }),
    'data-loss',
    'INVALID_RECORD',
  ],
  ['too long an answer', 200, ' '.repeat(5 * 1024 * 1024), 'data-loss', 'INVALID_RECORD'],
  ['a server that stays away', 503, '', 'unavailable', 'DOWNLOAD_FAILED'],
] as const) {
  test(`${what} is ${reason}`, async (t) => {
    const { server, fetcher } = await start(t);
    server.recordAnswer = { status, body };
    isError(kind, reason)(await rejection(readRecord(fetcher, server.url, ID, NO_ABORT)));
  });
}

test('a host that is not there is DOWNLOAD_FAILED, with the reason', async (t) => {
  const { fetcher } = await start(t);
  await using nobody = await refusedPort();
  const error = await rejection(readRecord(fetcher, `http://${nobody.address}`, ID, NO_ABORT));
  isError('unavailable', 'DOWNLOAD_FAILED')(error);
  assert.match(error.message, /ECONNREFUSED/);
});

const NAMES = ['CLS_AMM_WS2.zip', 'CLS_GMM_WS2.zip', 'SEG_M2F_GrapheneH.zip', 'README.md'];
const FILES = NAMES.map((name) => ({ name, sizeBytes: 1, md5: '', url: '' }));

for (const [only, expected] of [
  [[], NAMES.slice(0, 3)],
  [['*WS2'], NAMES.slice(0, 2)],
  [['SEG_M2F_Graphene*'], NAMES.slice(2, 3)],
  [
    ['CLS_AMM_WS2.zip', 'SEG_*'],
    ['CLS_AMM_WS2.zip', 'SEG_M2F_GrapheneH.zip'],
  ],
] as const) {
  test(`--only ${JSON.stringify(only)} takes ${expected.length}`, () => {
    assert.deepEqual(
      selectBundles(FILES, { only, originalDeployment: false }).map(({ name }) => name),
      expected,
    );
  });
}

test('a pattern without a match is an error that lists the names', () => {
  assert.throws(
    () => selectBundles(FILES, { only: ['*WS2', 'nothing*'], originalDeployment: false }),
    hasViolationAt('INVALID_REQUEST', 'only'),
  );
});

test("the original deployment's models are eight, and all must be there", () => {
  assert.equal(new Set(ORIGINAL_DEPLOYMENT).size, 8);
  const all = [...ORIGINAL_DEPLOYMENT.map((name) => `${name}.zip`), 'CLS_AMM_WSe2.zip'].map((name) => ({
    name,
    sizeBytes: 1,
    md5: '',
    url: '',
  }));
  assert.equal(selectBundles(all, { only: [], originalDeployment: true }).length, 8);
  assert.equal(selectBundles(all, { only: ['SEG_*'], originalDeployment: true }).length, 4);
  assert.throws(() => selectBundles(FILES, { only: [], originalDeployment: true }), isError('not-found', 'FILE_NOT_FOUND'));
});
