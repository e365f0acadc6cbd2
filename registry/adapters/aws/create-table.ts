import {
  CreateTableCommand,
  DescribeTableCommand,
  type DynamoDBClient,
  type TableDescription,
  UpdateContinuousBackupsCommand,
} from '@aws-sdk/client-dynamodb';
import { ServiceError } from '../../../proto/wire/errors.ts';
import { isTransient, nameOf, translateAwsError } from './aws-errors.ts';
import { LostRaceError, type Pace, retrying } from './retry.ts';
import { TABLE_DEFINITION } from './table-definition.ts';

export interface CreatedTable {
  /** False when there was one already. */
  readonly isCreated: boolean;
  /** Whether it can be put back to any moment of the last weeks; servers other than AWS's may not be able to. */
  readonly isRecoverable: boolean;
}

/**
 * Creates the catalog's table where there is none, and waits until it can be used. Idempotent.
 * @throws ServiceError failed-precondition UNSUPPORTED_FORMAT for a table with other keys; unavailable STORAGE_UNAVAILABLE.
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
    return { isCreated, isRecoverable: await attempt(() => makeRecoverable(client, name, signal)) };
  } catch (error) {
    throw translateAwsError(error, `table ${name}`);
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
  try {
    await client.send(command, { abortSignal: signal });
    return true;
  } catch (error) {
    if (nameOf(error) === 'UnknownOperationException') {
      return false;
    }
    throw error;
  }
}
