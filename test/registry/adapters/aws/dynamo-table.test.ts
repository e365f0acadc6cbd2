import assert from 'node:assert/strict';
import { it } from 'node:test';
import { DynamoTable } from '../../../../registry/adapters/aws/dynamo-table.ts';
import { awsError, cancelled, instantPace } from '../../../support/aws/fake-client.ts';
import { MemoryDynamo } from '../../../support/aws/memory-dynamo.ts';
import { never } from '../../../support/registry/publish.ts';
import { isError } from '../../../support/service-errors.ts';

function open(budgetMs = 30_000) {
  const dynamo = new MemoryDynamo();
  const pace = instantPace({ budgetMs });
  return { dynamo, pace, client: dynamo.client, table: new DynamoTable(dynamo.sender, pace, 'catalog') };
}

const put = (sk: string) => ({ kind: 'put', key: { pk: 'p', sk }, item: { text: sk, n: 1 }, condition: 'absent' }) as const;

it('repeats a transaction that met another one, or a throttled table, under one token', async () => {
  const { client, table, pace } = open();
  client.before = (_, index) => {
    if (index < 2) {
      throw index === 0 ? cancelled('None', 'TransactionConflict') : cancelled('ThrottlingError', 'None');
    }
  };
  assert.equal((await table.transact([put('a'), put('b')], never)).size, 0);
  assert.equal(new Set(client.sent.map(({ input }) => input['ClientRequestToken'])).size, 1);
  assert.deepEqual([client.sent.length, pace.pauses], [3, [25, 50]]);
});

it('takes effect once when the answer gets lost', async () => {
  const { client, table } = open();
  client.after = (_, index) => {
    if (index === 0) {
      throw Object.assign(new Error('socket hang up'), { code: 'ECONNRESET' });
    }
  };
  // Without the token the second attempt would find the item there, and take it for somebody else's.
  assert.equal((await table.transact([put('a')], never)).size, 0);
  assert.equal(client.sent.length, 2);
});

it('says whose conditions did not hold, and writes nothing', async () => {
  const { dynamo, table } = open();
  await table.transact([put('b')], never);
  assert.deepEqual([...(await table.transact([put('a'), put('b'), put('c')], never))], [1]);
  assert.equal(dynamo.items.size, 1);
});

it('does not repeat what will never succeed', async () => {
  const { client, table } = open();
  client.before = () => {
    throw awsError('ValidationException');
  };
  await assert.rejects(table.transact([put('a')], never), { name: 'ValidationException' });
  assert.equal(client.sent.length, 1);
});

it('gives up in the end, with a delay to try again after', async () => {
  const { client, table } = open(1_000);
  client.before = () => {
    throw awsError('ProvisionedThroughputExceededException');
  };
  for (const action of [
    () => table.get({ pk: 'p', sk: 's' }, never),
    () => table.query({ pk: 'p' }, never),
    () => table.getAll([{ pk: 'p', sk: 's' }], never),
    () => table.transact([put('a')], never),
  ]) {
    await assert.rejects(action, isError('unavailable', 'STORAGE_UNAVAILABLE'));
  }
});

it('ends with the caller, whatever the service just answers', async () => {
  const { client, table } = open();
  const caller = new AbortController();
  client.before = () => {
    caller.abort();
    throw awsError('ThrottlingException');
  };
  await assert.rejects(table.get({ pk: 'p', sk: 's' }, caller.signal), isError('cancelled', 'CANCELLED'));
  assert.equal(client.sent.length, 1);
});

it('reads a partition page by page up to the limit, consistently', async () => {
  const { client, table } = open();
  await table.transact(['a', 'b', 'c', 'd'].map(put), never);
  const whole = client.send.bind(client);
  // DynamoDB ends a page at 1 MB, however many were asked for.
  client.send = (command, options) => {
    const { input } = command as { input: { Limit?: number } };
    return whole(Object.assign(command, { input: { ...input, Limit: Math.min(input.Limit ?? 2, 2) } }), options);
  };
  const read = async (limit?: number) =>
    (await table.query({ pk: 'p', ...(limit !== undefined && { limit }) }, never)).map((row) => row['text']);
  assert.deepEqual(await read(), ['a', 'b', 'c', 'd']);
  assert.deepEqual(await read(3), ['a', 'b', 'c']);
  assert.ok(client.sent.filter(({ name }) => name === 'Query').every(({ input }) => input['ConsistentRead'] === true));
});

it('asks again for the keys that a batch left out, and keeps their order', async () => {
  const { client, table } = open();
  const names = Array.from({ length: 150 }, (_, index) => `k${index}`);
  for (let at = 0; at < names.length; at += 100) {
    await table.transact(names.slice(at, at + 100).map(put), never);
  }
  const whole = client.send.bind(client);
  client.send = async (command, options) => {
    const answer: Record<string, unknown> = await whole(command, options);
    const keys = (command as { input: { RequestItems: { catalog: { Keys: unknown[] } } } }).input.RequestItems.catalog.Keys;
    const isThrottled = client.sent.length % 3 === 0;
    const done = isThrottled ? 0 : Math.ceil(keys.length / 2);
    const responses = (answer['Responses'] as { catalog: { sk: { S: string } }[] }).catalog;
    const wanted = new Set(keys.slice(0, done).map((key) => (key as { sk: { S: string } }).sk.S));
    return {
      Responses: { catalog: responses.filter(({ sk }) => wanted.has(sk.S)) },
      UnprocessedKeys: done < keys.length ? { catalog: { Keys: keys.slice(done) } } : {},
    } as never;
  };
  const rows = await table.getAll(
    [...names, 'missing'].map((sk) => ({ pk: 'p', sk })),
    never,
  );
  assert.deepEqual(
    rows.map((row) => row['text']),
    names,
  );
});
