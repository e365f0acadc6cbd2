import type { AttributeValue } from '@aws-sdk/client-dynamodb';
import type { DynamoSender } from '../../../registry/adapters/aws/dynamo-table.ts';
import { awsError, cancelled, FakeClient, type Sent } from './fake-client.ts';

type Item = Readonly<Record<string, AttributeValue>>;
type Values = Readonly<Record<string, AttributeValue>>;

interface Conditional {
  readonly ConditionExpression?: string;
  readonly ExpressionAttributeNames?: Readonly<Record<string, string>>;
  readonly ExpressionAttributeValues?: Values;
}

interface TransactItem {
  readonly Put?: Conditional & { readonly Item: Item };
  readonly Update?: Conditional & { readonly Key: Item; readonly UpdateExpression: string };
  readonly Delete?: Conditional & { readonly Key: Item };
  readonly ConditionCheck?: Conditional & { readonly Key: Item };
}

/** Enough of DynamoDB for the catalog: one table with the keys pk and sk, and the few expressions that the catalog uses. */
export class MemoryDynamo {
  readonly items = new Map<string, Item>();
  readonly client = new FakeClient((request) => this.#answer(request));
  readonly #tokens = new Set<string>();

  /** As the catalog takes it. */
  get sender(): DynamoSender {
    return this.client as unknown as DynamoSender;
  }

  #answer({ name, input }: Sent): unknown {
    switch (name) {
      case 'GetItem':
        return { Item: this.items.get(sentKey(input['Key'] as Item)) };
      case 'BatchGetItem': {
        const [[table, { Keys }]] = Object.entries(input['RequestItems'] as Record<string, { Keys: Item[] }>) as [
          [string, { Keys: Item[] }],
        ];
        const found = Keys.map((key) => this.items.get(sentKey(key))).filter((item) => item !== undefined);
        // In any order.
        return { Responses: { [table]: found.toReversed() }, UnprocessedKeys: {} };
      }
      case 'Query':
        return this.#query(input);
      case 'TransactWriteItems':
        return this.#transact(input);
      case 'PutItem': {
        const key = sentKey(input['Item'] as Item);
        if (!holds(input, this.items.get(key))) {
          throw awsError('ConditionalCheckFailedException');
        }
        this.items.set(key, input['Item'] as Item);
        return {};
      }
      case 'UpdateItem':
        return this.#increment(input);
      default:
        throw new Error(`the catalog sends no ${name}`);
    }
  }

  #query(input: Sent['input']): unknown {
    const values = input['ExpressionAttributeValues'] as Values;
    const condition = String(input['KeyConditionExpression']);
    refuseEmpty(Object.values(values));
    const found = [...this.items.values()]
      .filter((item) => item['pk']?.S === values[':pk']?.S && isInRange(item['sk']?.S ?? '', condition, values))
      .sort((a, b) => compare(a['sk']?.S ?? '', b['sk']?.S ?? ''));
    const ordered = input['ScanIndexForward'] === false ? found.toReversed() : found;
    const start = ordered.findIndex((item) => keyOf(item) === keyOf((input['ExclusiveStartKey'] as Item | undefined) ?? {})) + 1;
    const limit = Number(input['Limit'] ?? Number.POSITIVE_INFINITY);
    const page = ordered.slice(start, start + limit);
    const last = page.at(-1);
    const hasMore = start + page.length < ordered.length;
    return { Items: page, ...(hasMore && last !== undefined && { LastEvaluatedKey: { pk: last['pk'], sk: last['sk'] } }) };
  }

  #increment(input: Sent['input']): unknown {
    if (input['UpdateExpression'] !== 'ADD #sum :one') {
      throw new Error(`the catalog does not update by "${String(input['UpdateExpression'])}"`);
    }
    const Key = input['Key'] as Item;
    const name = (input as Conditional).ExpressionAttributeNames?.['#sum'] ?? '';
    const found = this.items.get(sentKey(Key));
    const sum = { N: String(Number(found?.[name]?.N ?? 0) + 1) };
    this.items.set(keyOf(Key), { ...Key, ...found, [name]: sum });
    return { Attributes: { [name]: sum } };
  }

  #transact(input: Sent['input']): unknown {
    const token = String(input['ClientRequestToken']);
    const writes = input['TransactItems'] as readonly TransactItem[];
    if (writes.length > 100) {
      throw new Error(`${writes.length} writes in one transaction`);
    }
    if (this.#tokens.has(token)) {
      return {};
    }
    const keys = writes.map((write) =>
      sentKey(write.Put?.Item ?? write.Update?.Key ?? write.Delete?.Key ?? write.ConditionCheck?.Key ?? {}),
    );
    if (new Set(keys).size < keys.length) {
      throw new Error('a transaction with two writes to one item');
    }
    const reasons = writes.map((write, index) =>
      holds(write.Put ?? write.Update ?? write.Delete ?? write.ConditionCheck ?? {}, this.items.get(keys[index] ?? ''))
        ? 'None'
        : 'ConditionalCheckFailed',
    );
    if (reasons.some((reason) => reason !== 'None')) {
      throw cancelled(...reasons);
    }
    for (const [index, { Put, Update, Delete }] of writes.entries()) {
      const key = keys[index] ?? '';
      if (Put !== undefined) {
        this.items.set(key, Put.Item);
      } else if (Delete !== undefined) {
        this.items.delete(key);
      } else if (Update !== undefined) {
        const name = Update.ExpressionAttributeNames?.['#set'] ?? '';
        const value = Update.ExpressionAttributeValues?.[':set'] as AttributeValue;
        this.items.set(key, { ...Update.Key, ...this.items.get(key), [name]: value });
      }
    }
    this.#tokens.add(token);
    return {};
  }
}

/** The key of an item that was sent: DynamoDB refuses one that is not whole. */
function sentKey(item: Item): string {
  refuseEmpty([item['pk'], item['sk']]);
  return keyOf(item);
}

/** What DynamoDB does with an empty text in a key and in a condition on one. */
function refuseEmpty(values: readonly (AttributeValue | undefined)[]): void {
  if (values.some((value) => value?.S === undefined || value.S === '')) {
    throw awsError('ValidationException');
  }
}

export function keyOf(item: Item): string {
  return JSON.stringify([item['pk']?.S, item['sk']?.S]);
}

function holds(write: Conditional, item: Item | undefined): boolean {
  switch (write.ConditionExpression) {
    case undefined:
      return true;
    case 'attribute_not_exists(pk)':
      return item === undefined;
    case 'attribute_exists(pk)':
      return item !== undefined;
    default: {
      const found = item?.[write.ExpressionAttributeNames?.['#was'] ?? ''];
      return JSON.stringify(found) === JSON.stringify(write.ExpressionAttributeValues?.[':was']);
    }
  }
}

function isInRange(sk: string, condition: string, values: Values): boolean {
  const text = (name: string): string => values[name]?.S ?? '';
  switch (condition) {
    case 'pk = :pk':
      return true;
    case 'pk = :pk AND sk > :sk':
      return compare(sk, text(':sk')) > 0;
    case 'pk = :pk AND sk >= :sk':
      return compare(sk, text(':sk')) >= 0;
    case 'pk = :pk AND sk < :sk':
      return compare(sk, text(':sk')) < 0;
    case 'pk = :pk AND begins_with(sk, :sk)':
      return sk.startsWith(text(':sk'));
    case 'pk = :pk AND sk BETWEEN :low AND :high':
      return compare(sk, text(':low')) >= 0 && compare(sk, text(':high')) <= 0;
    default:
      throw new Error(`the catalog does not ask "${condition}"`);
  }
}

/** Byte by byte, as DynamoDB does. */
function compare(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
