import assert from 'node:assert/strict';
import { it } from 'node:test';
import { openDynamoCatalog } from '../../../../registry/adapters/aws/dynamo-catalog.ts';
import { promotion } from '../../../../registry/model/alias.ts';
import { instantPace } from '../../../support/aws/fake-client.ts';
import { MemoryDynamo } from '../../../support/aws/memory-dynamo.ts';
import { aliasName, draftFor, modelName, record, targetOf } from '../../../support/registry/catalog-records.ts';
import { openEmbedded } from '../../../support/registry/embedded-registry.ts';
import { never } from '../../../support/registry/publish.ts';
import { temporaryFolder } from '../../../support/registry/temporary-folder.ts';

const m = modelName('m');

async function open() {
  const folder = await temporaryFolder();
  const { client, sender } = new MemoryDynamo();
  const catalog = await openDynamoCatalog({ client: sender, pace: instantPace() }, { table: 'catalog' }, never);
  const { registry, ...embedded } = await openEmbedded(folder.path, { wrapCatalog: () => catalog });
  /** How often a call sent what. */
  const count = async <T>(call: () => Promise<T>): Promise<{ answer: T; sent: Record<string, number> }> => {
    client.sent.length = 0;
    const answer = await call();
    const names = [...new Set(client.names)];
    const countOf = (name: string): number => client.names.filter((other) => other === name).length;
    return { answer, sent: Object.fromEntries(names.map((name) => [name, countOf(name)])) };
  };
  const close = async (): Promise<void> => {
    embedded[Symbol.dispose]();
    await folder[Symbol.asyncDispose]();
  };
  return { catalog, registry, count, [Symbol.asyncDispose]: close };
}

it('reads the history up to a time in a few requests, however often the aliases moved since', async () => {
  await using store = await open();
  const { catalog, registry } = store;
  await catalog.createModel(record('m'), undefined, never);
  const draft = draftFor(m, 'one');
  await catalog.addStaging({ ...draft, id: 's', version: 0 }, undefined, never);
  const added = await catalog.addVersion('s', draft, undefined, never);
  assert.ok(added.kind === 'added');
  for (let timeMs = 1; timeMs <= 200; timeMs++) {
    for (const alias of [aliasName('production'), aliasName('canary')]) {
      const current = await catalog.getAlias(m, alias, never);
      const move = { actor: { name: 'ada', isVerified: false }, reason: '', timeMs };
      await catalog.moveAlias(promotion(current, { ...targetOf(added.version), alias }, move), undefined, never);
    }
  }
  const query = { model: 'm', alias: 'production', pageSize: 2, pageToken: '', atMs: 4 };
  const { answer, sent } = await store.count(() => registry.listAliasEvents(query, never));
  assert.deepEqual(
    answer.items.map(({ state }) => state.revision),
    [4, 3],
  );
  // The model and its aliases; the newest event, then by halves; the event and those before it.
  assert.deepEqual(sent, { GetItem: 10, Query: 3 });
  const further = await store.count(() => registry.listAliasEvents({ ...query, pageToken: answer.nextPageToken }, never));
  assert.deepEqual(
    further.answer.items.map(({ state }) => state.revision),
    [2, 1],
  );
  assert.equal(further.answer.nextPageToken, '');
  assert.deepEqual(further.sent, { GetItem: 2, Query: 2 });
});

it('looks at a bounded number of models for one page, however few carry all labels', async () => {
  await using store = await open();
  const { catalog, registry } = store;
  const name = (index: number): string => `m${String(index).padStart(4, '0')}`;
  const labelsOf = (index: number): Record<string, string> => ({ a: '1', ...(index % 600 === 0 && { b: '1' }) });
  for (let index = 0; index <= 600; index++) {
    await catalog.createModel(record(name(index), labelsOf(index)), undefined, never);
  }
  const query = { pageSize: 1, labels: { a: '1', b: '1' } };
  const pages: [string[], Record<string, number>][] = [];
  let pageToken = '';
  do {
    const { answer, sent } = await store.count(() => registry.listModels({ ...query, pageToken }, never));
    pages.push([answer.items.map((model) => model.name), sent]);
    pageToken = answer.nextPageToken;
  } while (pageToken !== '');
  assert.deepEqual(pages, [
    [[name(0)], { Query: 2, BatchGetItem: 1 }],
    [[], { Query: 10, BatchGetItem: 10 }],
    [[name(600)], { Query: 3, BatchGetItem: 2 }],
  ]);
});

it('looks at a bounded number of versions for one page, however few carry all labels', async () => {
  await using store = await open();
  const { catalog, registry } = store;
  await catalog.createModel(record('m'), undefined, never);
  for (let version = 1; version <= 600; version++) {
    const draft = draftFor(m, `${version}`, { a: '1', b: version === 1 ? '1' : '2' });
    await catalog.addStaging({ ...draft, id: `s${version}`, version: 0 }, undefined, never);
    await catalog.addVersion(`s${version}`, draft, undefined, never);
  }
  const query = { model: 'm', pageSize: 1, labels: { a: '1', b: '1' } };
  const first = await store.count(() => registry.listVersions({ ...query, pageToken: '' }, never));
  assert.deepEqual([first.answer.items, first.sent], [[], { GetItem: 1, Query: 11, BatchGetItem: 10 }]);
  const second = await store.count(() => registry.listVersions({ ...query, pageToken: first.answer.nextPageToken }, never));
  assert.deepEqual(
    second.answer.items.map(({ version }) => version),
    [1],
  );
});
