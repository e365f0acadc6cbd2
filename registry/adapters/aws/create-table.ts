import {
  CreateTableCommand,
  DescribeTableCommand,
  DescribeTimeToLiveCommand,
  type DynamoDBClient,
  type TableDescription,
  UpdateContinuousBackupsCommand,
  UpdateTimeToLiveCommand,
} from '@aws-sdk/client-dynamodb';
import { ServiceError } from '../../../proto/wire/errors.ts';
import { isTransient, translateAwsError } from './aws-errors.ts';
import { nameOf } from './error-names.ts';
import { LostRaceError, type Pace, retrying } from './retry.ts';
import { TABLE_DEFINITION } from './table-definition.ts';

export interface CreatedTable {
  /** False when there was one already. */
  readonly isCreated: boolean;
  /** Whether it can be put back to any moment of the last weeks; servers other than AWS's may not be able to. */
  readonly isRecoverable: boolean;
  /** Whether what has ended is removed by itself; servers other than AWS's may not do it. */
  readonly isExpiring: boolean;
}

/**
 * Creates the catalog's table where there is none, waits until it can be used, and gives one of an earlier release the settings that
 * it lacks. Idempotent.
 * @throws ServiceError failed-precondition UNSUPPORTED_FORMAT for a table with other keys, or whose items end by another attribute;
 *   or as `isMisconfigured` knows; unavailable STORAGE_UNAVAILABLE.
 */
export async function createTable(
  client: Pick<DynamoDBClient, 'send'>,
  pace: Pace,
  name: string,
  signal: AbortSignal,
): Promise<CreatedTable> {
  const attempt = <T>(action: () => Promise<T>): Promise<T> => retrying(pace, signal, action, isTransient);
  try {
    const isCreated = await attempt(() => create(client, name, signal));
    await attempt(async () => {
      const table = await describe(client, name, signal);
      checkKeys(name, table);
      if (table?.TableStatus !== 'ACTIVE') {
        throw new LostRaceError(`table ${name} is ${table?.TableStatus ?? 'not there yet'}`);
      }
    });
    return {
      isCreated,
      isRecoverable: await attempt(() => makeRecoverable(client, name, signal)),
      isExpiring: await attempt(() => makeExpiring(client, name, signal)),
    };
  } catch (error) {
    throw translateAwsError(error, { kind: 'table', name });
  }
}

/**
 * For what must be there already.
 * @throws ServiceError failed-precondition TABLE_NOT_FOUND; else as `createTable` does.
 */
export async function requireTable(
  client: Pick<DynamoDBClient, 'send'>,
  pace: Pace,
  name: string,
  signal: AbortSignal,
): Promise<void> {
  try {
    const table = await retrying(pace, signal, () => describe(client, name, signal), isTransient);
    if (table === undefined) {
      throw new ServiceError('failed-precondition', 'TABLE_NOT_FOUND', `there is no table ${name}`, {
        metadata: { table: name },
      });
    }
    checkKeys(name, table);
  } catch (error) {
    throw translateAwsError(error, { kind: 'table', name });
  }
}

async function create(client: Pick<DynamoDBClient, 'send'>, name: string, signal: AbortSignal): Promise<boolean> {
  const { partitionKey, sortKey, billingMode, hasDeletionProtection } = TABLE_DEFINITION;
  const command = new CreateTableCommand({
    TableName: name,
    BillingMode: billingMode,
    AttributeDefinitions: [partitionKey, sortKey].map((AttributeName) => ({ AttributeName, AttributeType: 'S' })),
    KeySchema: [
      { AttributeName: partitionKey, KeyType: 'HASH' },
      { AttributeName: sortKey, KeyType: 'RANGE' },
    ],
    DeletionProtectionEnabled: hasDeletionProtection,
  });
  try {
    await client.send(command, { abortSignal: signal });
    return true;
  } catch (error) {
    if (nameOf(error) === 'ResourceInUseException') {
      return false;
    }
    throw error;
  }
}

/** Undefined for a table that was created a moment ago and is not known everywhere yet. */
async function describe(
  client: Pick<DynamoDBClient, 'send'>,
  name: string,
  signal: AbortSignal,
): Promise<TableDescription | undefined> {
  try {
    return (await client.send(new DescribeTableCommand({ TableName: name }), { abortSignal: signal })).Table;
  } catch (error) {
    if (nameOf(error) === 'ResourceNotFoundException') {
      return undefined;
    }
    throw error;
  }
}

function checkKeys(name: string, table: TableDescription | undefined): void {
  const found = (table?.KeySchema ?? []).map(({ AttributeName, KeyType }) => `${KeyType} ${AttributeName}`).join(', ');
  const expected = `HASH ${TABLE_DEFINITION.partitionKey}, RANGE ${TABLE_DEFINITION.sortKey}`;
  if (table !== undefined && found !== expected) {
    const message = `table ${name} has the keys ${found}; a catalog has ${expected}`;
    throw new ServiceError('failed-precondition', 'UNSUPPORTED_FORMAT', message);
  }
}

async function makeRecoverable(client: Pick<DynamoDBClient, 'send'>, name: string, signal: AbortSignal): Promise<boolean> {
  const command = new UpdateContinuousBackupsCommand({
    TableName: name,
    PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: TABLE_DEFINITION.hasPointInTimeRecovery },
  });
  return isAble(() => client.send(command, { abortSignal: signal }));
}

/** To set it twice is an error on AWS. */
async function makeExpiring(client: Pick<DynamoDBClient, 'send'>, name: string, signal: AbortSignal): Promise<boolean> {
  const options = { abortSignal: signal };
  const AttributeName = TABLE_DEFINITION.timeToLive;
  return isAble(async () => {
    const { TimeToLiveDescription: found } = await client.send(new DescribeTimeToLiveCommand({ TableName: name }), options);
    if (found?.TimeToLiveStatus !== 'ENABLED' && found?.TimeToLiveStatus !== 'ENABLING') {
      const TimeToLiveSpecification = { Enabled: true, AttributeName };
      await client.send(new UpdateTimeToLiveCommand({ TableName: name, TimeToLiveSpecification }), options);
    } else if (found.AttributeName !== AttributeName) {
      const message = `items of table ${name} end by the attribute ${found.AttributeName}; a catalog's do by ${AttributeName}`;
      throw new ServiceError('failed-precondition', 'UNSUPPORTED_FORMAT', message);
    }
  });
}

/** False where the server knows no such request. */
async function isAble(request: () => Promise<unknown>): Promise<boolean> {
  try {
    await request();
    return true;
  } catch (error) {
    if (nameOf(error) === 'UnknownOperationException') {
      return false;
    }
    throw error;
  }
}
