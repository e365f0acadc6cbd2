import { type AttributeValue, type DynamoDBClient, GetItemCommand, type TransactWriteItem } from '@aws-sdk/client-dynamodb';
import type { DynamoSender } from '../../../registry/adapters/aws/dynamo-table.ts';
import { itemBytes } from './item-size.ts';

type Item = Record<string, AttributeValue>;

export interface Units {
  reads: number;
  writes: number;
}

/** Units computed from the sizes of the items, and those that the server says it consumed, where it does. */
export interface Counted {
  readonly computed: Units;
  readonly reported: Units;
}

/** A client in between that counts capacity units: `all` of them, and those of the requests `alike` that DynamoDB Local counts as DynamoDB does. */
export function countCapacity(client: DynamoSender): {
  readonly sender: DynamoSender;
  take(): { readonly all: Counted; readonly alike: Counted };
} {
  let all = nothing();
  let alike = nothing();
  const send = async (command: object, options: object): Promise<unknown> => {
    const { input } = command as { input: Record<string, unknown> };
    input['ReturnConsumedCapacity'] = 'TOTAL';
    const sizes = await sizesBefore(client, input, options);
    const output = (await client.send(command as never, options)) as unknown as Record<string, unknown>;
    for (const counted of isCountedAlike(input, output) ? [all, alike] : [all]) {
      count(counted.computed, input, output, sizes);
      countReported(counted.reported, input, output);
    }
    return output;
  };
  return {
    sender: { send: send as DynamoDBClient['send'], destroy: () => client.destroy() },
    take: () => {
      const taken = { all, alike };
      all = nothing();
      alike = nothing();
      return taken;
    },
  };
}

function nothing(): Counted {
  return { computed: { reads: 0, writes: 0 }, reported: { reads: 0, writes: 0 } };
}

/** DynamoDB Local counts a transaction as if it had one write, and a look at what is not there as nothing. */
function isCountedAlike(input: Record<string, unknown>, output: Record<string, unknown>): boolean {
  if (input['KeyConditionExpression'] !== undefined) {
    return output['Count'] !== 0;
  }
  return input['TransactItems'] === undefined && input['RequestItems'] === undefined;
}

function countReported(units: Units, input: Record<string, unknown>, output: Record<string, unknown>): void {
  for (const { CapacityUnits = 0, WriteCapacityUnits = 0 } of [output['ConsumedCapacity'] ?? []].flat() as Partial<
    Record<string, number>
  >[]) {
    // A single write is reported without saying that it is one.
    const isWrite = input['TransactItems'] === undefined && writesOf(input).length > 0;
    const writes = isWrite ? CapacityUnits : WriteCapacityUnits;
    units.writes += writes;
    units.reads += CapacityUnits - writes;
  }
}

/** What stands where a transaction will change or check something: that counts too. */
async function sizesBefore(client: DynamoSender, input: Record<string, unknown>, options: object): Promise<number[]> {
  const writes = writesOf(input);
  return Promise.all(
    writes.map(async ({ Put, Update, Delete, ConditionCheck }) => {
      const Key = Update?.Key ?? Delete?.Key ?? ConditionCheck?.Key ?? { pk: Put?.Item?.['pk'], sk: Put?.Item?.['sk'] };
      const found = await client.send(
        new GetItemCommand({ TableName: 'catalog', ...named(input), Key: Key as Item, ConsistentRead: true }),
        options,
      );
      return found.Item === undefined ? 0 : itemBytes(found.Item);
    }),
  );
}

/** A single write is like a transaction's only one. */
function writesOf(input: Record<string, unknown>): readonly TransactWriteItem[] {
  if (input['Item'] !== undefined) {
    return [{ Put: { TableName: String(input['TableName']), Item: input['Item'] as Item } }];
  }
  if (input['UpdateExpression'] !== undefined) {
    return [{ Update: { TableName: String(input['TableName']), Key: input['Key'] as Item, UpdateExpression: '' } }];
  }
  return (input['TransactItems'] ?? []) as readonly TransactWriteItem[];
}

function named(input: Record<string, unknown>): { TableName?: string } {
  const [first] = writesOf(input);
  const TableName = (first?.Put ?? first?.Update ?? first?.Delete ?? first?.ConditionCheck)?.TableName;
  return TableName === undefined ? {} : { TableName };
}

function count(units: Units, input: Record<string, unknown>, output: Record<string, unknown>, before: readonly number[]): void {
  const writes = writesOf(input);
  if (writes.length > 0) {
    // A transaction prepares each write before it makes it.
    const times = input['TransactItems'] === undefined ? 1 : 2;
    for (const [index, { Put }] of writes.entries()) {
      const bytes = Math.max(before[index] ?? 0, Put?.Item === undefined ? 0 : itemBytes(Put.Item));
      units.writes += times * Math.max(1, Math.ceil(bytes / 1024));
    }
  } else if (input['KeyConditionExpression'] !== undefined) {
    // A query's items count together.
    const bytes = ((output['Items'] ?? []) as Item[]).reduce((sum, item) => sum + itemBytes(item), 0);
    units.reads += Math.max(1, Math.ceil(bytes / 4096));
  } else if (input['RequestItems'] !== undefined) {
    const items = Object.values((output['Responses'] ?? {}) as Record<string, Item[]>).flat();
    const asked = Object.values(input['RequestItems'] as Record<string, { Keys: unknown[] }>).flatMap(({ Keys }) => Keys).length;
    units.reads += asked - items.length + items.reduce((sum, item) => sum + Math.ceil(itemBytes(item) / 4096), 0);
  } else {
    const item = output['Item'] as Item | undefined;
    units.reads += item === undefined ? 1 : Math.ceil(itemBytes(item) / 4096);
  }
}
