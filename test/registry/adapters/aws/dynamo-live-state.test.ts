import assert from 'node:assert/strict';
import { it } from 'node:test';
import { DynamoReports } from '../../../../registry/adapters/aws/dynamo-reports.ts';
import { DynamoTable } from '../../../../registry/adapters/aws/dynamo-table.ts';
import { DynamoWishes } from '../../../../registry/adapters/aws/dynamo-wishes.ts';
import { keys } from '../../../../registry/adapters/aws/table-layout.ts';
import { describePrefetchWishes, wish } from '../../../contract/prefetch-wishes-contract.ts';
import { describeServerReports, liveReport } from '../../../contract/server-reports-contract.ts';
import { awsError, instantPace } from '../../../support/aws/fake-client.ts';
import { keyOf, MemoryDynamo } from '../../../support/aws/memory-dynamo.ts';
import { asModel } from '../../../support/made-version.ts';
import { never } from '../../../support/registry/publish.ts';
import { seededBytes } from '../../../support/registry/sample-version.ts';
import { isError } from '../../../support/service-errors.ts';

describeServerReports('DynamoDB, in memory', async () => open().reports);
describePrefetchWishes('DynamoDB, in memory', async () => open().wishes);

/** A second call on the same one is another registry on the same table. */
function open(dynamo = new MemoryDynamo(), budgetMs = 30_000) {
  const table = new DynamoTable(dynamo.sender, instantPace({ budgetMs }), 'catalog');
  return { dynamo, client: dynamo.client, reports: new DynamoReports(table), wishes: new DynamoWishes(table) };
}

it('what one registry is told, the others know, the head included', async () => {
  const first = open();
  const second = open(first.dynamo);
  const head = await first.reports.put(liveReport('a', {}), never);
  assert.equal(await second.reports.head(never), head);
  const { reportTimeMs } = liveReport('a', {});
  assert.equal((await second.reports.list(asModel('M'), reportTimeMs, never)).length, 1);
  await second.wishes.put(wish('M', 1, 1000), 0, never);
  assert.deepEqual([await first.wishes.head(never), await first.wishes.list(0, never)], [1, [wish('M', 1, 1000)]]);
});

it('says when an item ends, so that DynamoDB removes it; what it has not removed yet is nothing to readers', async () => {
  const { dynamo, reports, wishes } = open();
  const report = liveReport('a', { expireTimeMs: 1_700_000_030_001 });
  await reports.put(report, never);
  const key = wish('M', 1, 1500);
  await wishes.put(key, 0, never);
  const ends = (at: { pk: string; sk: string }) =>
    dynamo.items.get(keyOf({ pk: { S: at.pk }, sk: { S: at.sk } }))?.['expires']?.N;
  assert.equal(ends(keys.server('server-a')), '1700000031');
  assert.equal(ends(keys.prefetch('M', 1)), String(Math.ceil(key.expireTimeMs / 1000)));
  await reports.remove('server-a', never);
  // Not at once: DynamoDB never removes an item that ended more than five years ago.
  assert.equal(ends(keys.server('server-a')), '1700000031');
  assert.equal(dynamo.items.size, 4);
  assert.deepEqual(await reports.list(asModel('M'), 0, never), []);
  assert.deepEqual(await wishes.list(key.expireTimeMs, never), []);
});

it('an older report does not overwrite a newer one that another registry took in between', async () => {
  const { dynamo, client, reports } = open();
  const other = open(dynamo);
  await reports.put(liveReport('a', { sequence: 1 }), never);
  let isOther = false;
  client.before = async ({ name }) => {
    if (name === 'PutItem' && !isOther) {
      isOther = true;
      await other.reports.put(liveReport('a', { sequence: 3, aliases: [] }), never);
    }
  };
  await reports.put(liveReport('a', { sequence: 2 }), never);
  const [kept] = await reports.list(asModel('M'), 0, never);
  assert.deepEqual([isOther, kept?.sequence, kept?.aliases], [true, 3, []]);
});

it('news are told although the answers to both writes get lost', async () => {
  const { client, reports } = open();
  const lost = new Set<string>();
  client.after = ({ name }) => {
    if ((name === 'PutItem' || name === 'UpdateItem') && !lost.has(name)) {
      lost.add(name);
      throw awsError('TimeoutError');
    }
  };
  const head = await reports.put(liveReport('a', {}), never);
  assert.deepEqual([...lost], ['PutItem', 'UpdateItem']);
  assert.equal(head, await reports.head(never));
  assert.ok(head !== undefined && head > 0);
});

it('news that could not be told are told with the next report, though that says the same', async () => {
  const { client, reports } = open(new MemoryDynamo(), 500);
  let isDown = true;
  client.before = ({ name }) => {
    if (name === 'UpdateItem' && isDown) {
      throw awsError('ThrottlingException');
    }
  };
  await assert.rejects(reports.put(liveReport('a', {}), never), isError('unavailable', 'STORAGE_UNAVAILABLE'));
  isDown = false;
  assert.equal(await reports.put(liveReport('a', { sequence: 2 }), never), 1);
  assert.equal(await reports.put(liveReport('a', { sequence: 3 }), never), undefined);
});

it('a report that no item can hold is refused, and the one before stays', async () => {
  const { reports } = open();
  await reports.put(liveReport('a', {}), never);
  const name = seededBytes('cannot be compressed', 1024 * 1024).toString('base64');
  const report = liveReport('a', { sequence: 2 });
  const tooLong = reports.put({ ...report, server: { ...report.server, name } }, never);
  await assert.rejects(tooLong, isError('invalid-argument', 'INVALID_REQUEST'));
  assert.equal((await reports.list(asModel('M'), 0, never))[0]?.server.name, 'a');
});

it('wishes that come at one moment to three registries are all kept, and their head counts all', async () => {
  const dynamo = new MemoryDynamo();
  const [first, second, third] = [open(dynamo).wishes, open(dynamo).wishes, open(dynamo).wishes];
  dynamo.client.before = () => new Promise((resolve) => setImmediate(resolve));
  await Promise.all([first, second, third].map((wishes, index) => wishes.put(wish('M', index + 1, 1000), 0, never)));
  assert.deepEqual([await first.head(never), (await first.list(0, never)).length], [3, 3]);
  const [, later] = await Promise.all([first.put(wish('M', 1, 2000), 0, never), second.put(wish('M', 1, 3000), 0, never)]);
  assert.deepEqual(later, wish('M', 1, 3000));
  assert.deepEqual(
    (await third.list(0, never)).filter(({ version }) => version === 1),
    [wish('M', 1, 3000)],
  );
});
