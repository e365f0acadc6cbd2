import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createTable, requireTable } from '../../../../registry/adapters/aws/create-table.ts';
import type { DynamoSender } from '../../../../registry/adapters/aws/dynamo-table.ts';
import { awsError, FakeClient, instantPace } from '../../../support/aws/fake-client.ts';
import { never } from '../../../support/registry/publish.ts';
import { isError } from '../../../support/service-errors.ts';

const KEYS = [
  { AttributeName: 'pk', KeyType: 'HASH' },
  { AttributeName: 'sk', KeyType: 'RANGE' },
];

/** A service that has the table ready after some questions. */
function service({ exists = false, keys = KEYS, readyAfter = 2, timeToLive = {} } = {}) {
  let questions = 0;
  const client = new FakeClient(({ name }) => {
    if (name === 'CreateTable' && exists) {
      throw awsError('ResourceInUseException');
    }
    if (name === 'DescribeTimeToLive') {
      return { TimeToLiveDescription: { TimeToLiveStatus: 'DISABLED', ...timeToLive } };
    }
    if (name === 'DescribeTable' && questions++ === 0 && !exists) {
      // Created a moment ago, and not known everywhere yet.
      throw awsError('ResourceNotFoundException');
    }
    return { Table: { KeySchema: keys, TableStatus: questions > readyAfter ? 'ACTIVE' : 'CREATING' } };
  });
  return { client, sender: client as unknown as DynamoSender };
}

it('creates the table as it is defined, and waits until it can be used', async () => {
  const { client, sender } = service();
  assert.deepEqual(await createTable(sender, instantPace(), 'models', never), {
    isCreated: true,
    isRecoverable: true,
    isExpiring: true,
  });
  const [create] = client.sent;
  assert.deepEqual(
    [
      create?.input['TableName'],
      create?.input['BillingMode'],
      create?.input['KeySchema'],
      create?.input['DeletionProtectionEnabled'],
    ],
    ['models', 'PAY_PER_REQUEST', KEYS, true],
  );
  assert.deepEqual(client.names, [
    'CreateTable',
    ...Array.from({ length: 3 }, () => 'DescribeTable'),
    'UpdateContinuousBackups',
    'DescribeTimeToLive',
    'UpdateTimeToLive',
  ]);
  const [recovery, , expiry] = client.sent.slice(4);
  assert.deepEqual(recovery?.input['PointInTimeRecoverySpecification'], { PointInTimeRecoveryEnabled: true });
  assert.deepEqual(expiry?.input['TimeToLiveSpecification'], { Enabled: true, AttributeName: 'expires' });
});

it('takes a table that is there, unless it is somebody else’s', async () => {
  const there = service({ exists: true, readyAfter: 0 });
  assert.equal((await createTable(there.sender, instantPace(), 'models', never)).isCreated, false);
  const other = service({ exists: true, keys: [{ AttributeName: 'id', KeyType: 'HASH' }] });
  await assert.rejects(
    createTable(other.sender, instantPace(), 'models', never),
    isError('failed-precondition', 'UNSUPPORTED_FORMAT'),
  );
});

it('says where a server cannot put a table back to an earlier moment, or removes nothing by itself', async () => {
  for (const [unknown, isRecoverable, isExpiring] of [
    ['UpdateContinuousBackups', false, true],
    ['DescribeTimeToLive', true, false],
  ] as const) {
    const { client, sender } = service();
    client.before = ({ name }) => {
      if (name === unknown) {
        throw awsError('UnknownOperationException');
      }
    };
    const created = await createTable(sender, instantPace(), 'models', never);
    assert.deepEqual(created, { isCreated: true, isRecoverable, isExpiring });
  }
});

it('sets no time to live twice, and takes no table whose items end otherwise', async () => {
  for (const TimeToLiveStatus of ['ENABLED', 'ENABLING']) {
    const set = service({ exists: true, readyAfter: 0, timeToLive: { TimeToLiveStatus, AttributeName: 'expires' } });
    assert.equal((await createTable(set.sender, instantPace(), 'models', never)).isExpiring, true);
    assert.ok(!set.client.names.includes('UpdateTimeToLive'));
    const other = service({ exists: true, readyAfter: 0, timeToLive: { TimeToLiveStatus, AttributeName: 'ttl' } });
    await assert.rejects(
      createTable(other.sender, instantPace(), 'models', never),
      isError('failed-precondition', 'UNSUPPORTED_FORMAT'),
    );
  }
});

it('repeats what is refused for now, and says what is refused for good', async () => {
  const { client, sender } = service();
  client.before = (_, index) => {
    if (index === 0 || index === 5) {
      throw awsError(index === 0 ? 'ThrottlingException' : 'ContinuousBackupsUnavailableException');
    }
  };
  assert.equal((await createTable(sender, instantPace(), 'models', never)).isCreated, true);
  assert.equal(client.sent.length, 9);
  for (const denied of ['CreateTable', 'DescribeTable', 'UpdateContinuousBackups', 'DescribeTimeToLive', 'UpdateTimeToLive']) {
    const refusing = service();
    refusing.client.before = ({ name }) => {
      if (name === denied) {
        throw awsError('AccessDeniedException');
      }
    };
    const creating = createTable(refusing.sender, instantPace(), 'models', never);
    await assert.rejects(creating, isError('failed-precondition', 'TABLE_ACCESS_DENIED'), denied);
  }
  const slow = service({ readyAfter: Number.POSITIVE_INFINITY });
  const waiting = createTable(slow.sender, instantPace({ budgetMs: 500 }), 'models', never);
  await assert.rejects(waiting, isError('unavailable', 'STORAGE_UNAVAILABLE'));
});

it('asks for a table that must be there, and creates none', async () => {
  const { client, sender } = service();
  const missing = requireTable(sender, instantPace(), 'models', never);
  await assert.rejects(missing, isError('failed-precondition', 'TABLE_NOT_FOUND'));
  assert.deepEqual(client.names, ['DescribeTable']);
  await requireTable(service({ exists: true }).sender, instantPace(), 'models', never);
  const foreign = service({ exists: true, keys: [{ AttributeName: 'id', KeyType: 'HASH' }] });
  const wrong = requireTable(foreign.sender, instantPace(), 'models', never);
  await assert.rejects(wrong, isError('failed-precondition', 'UNSUPPORTED_FORMAT'));
});
