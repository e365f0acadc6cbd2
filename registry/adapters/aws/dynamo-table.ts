import { randomUUID } from 'node:crypto';
import {
  type AttributeValue,
  BatchGetItemCommand,
  type DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  type TransactWriteItem,
  TransactWriteItemsCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb';
import { throwIfAborted } from '../../../proto/wire/errors.ts';
import { type Attributes, fromAttributes, integerOf, type Row, toAttribute, toAttributes, type Value } from './attributes.ts';
import { cancellationReasons, isTransient, translateAwsError } from './aws-errors.ts';
import { nameOf } from './error-names.ts';
import { type Pace, retrying } from './retry.ts';
import { type Key, ranges, type SortRange } from './table-layout.ts';

/** DynamoDB takes no more in one transaction, and gives no more for one BatchGetItem. */
export const MAX_TRANSACTION_ITEMS = 100;
const MAX_BATCH_KEYS = 100;
/** A transaction's items become visible within milliseconds of each other. */
const SETTLE_MS = 1_000;

export type DynamoSender = Pick<DynamoDBClient, 'send' | 'destroy'>;

/** A condition on the item as it stands. */
export type Condition = 'absent' | 'present' | { readonly attribute: string; readonly equals: Value };

export type Write =
  | { readonly kind: 'put'; readonly key: Key; readonly item: Attributes; readonly condition?: Condition }
  /** Changes one attribute of an item. */
  | { readonly kind: 'set'; readonly key: Key; readonly attribute: string; readonly value: Value; readonly condition: Condition }
  | { readonly kind: 'delete'; readonly key: Key; readonly condition?: Condition }
  | { readonly kind: 'check'; readonly key: Key; readonly condition: Condition };

export interface PartitionRead {
  readonly pk: string;
  readonly range?: SortRange;
  readonly limit?: number;
  readonly isDescending?: boolean;
}

/**
 * The catalog's table: strongly consistent reads, and writes that are transactions (live state's are single ones). Requests that DynamoDB refuses for now are
 * repeated here, and nowhere else.
 *
 * Errors of all methods: as `translateAwsError` says, and ServiceError cancelled or deadline-exceeded when the signal aborts.
 */
export class DynamoTable {
  readonly #pace: Pace;
  readonly #client: DynamoSender;
  readonly #name: string;

  constructor(client: DynamoSender, pace: Pace, name: string) {
    this.#client = client;
    this.#pace = pace;
    this.#name = name;
  }

  async get(key: Key, signal: AbortSignal): Promise<Row | undefined> {
    const command = new GetItemCommand({ TableName: this.#name, Key: toAttributes({ ...key }), ConsistentRead: true });
    const { Item } = await this.#attempt(signal, () => this.#client.send(command, { abortSignal: signal }));
    return Item === undefined ? undefined : fromAttributes(Item);
  }

  /** Items of one partition in the order of their keys, at most `limit`. */
  async query({ pk, range = ranges.all, limit, isDescending = false }: PartitionRead, signal: AbortSignal): Promise<Row[]> {
    const rows: Row[] = [];
    let start: Record<string, AttributeValue> | undefined;
    const { expression, values } = keyCondition(range);
    do {
      const command = new QueryCommand({
        TableName: this.#name,
        KeyConditionExpression: `pk = :pk${expression}`,
        ExpressionAttributeValues: toAttributes({ ':pk': pk, ...values }),
        ConsistentRead: true,
        ScanIndexForward: !isDescending,
        ...(limit !== undefined && { Limit: limit - rows.length }),
        ...(start !== undefined && { ExclusiveStartKey: start }),
      });
      const page = await this.#attempt(signal, () => this.#client.send(command, { abortSignal: signal }));
      rows.push(...(page.Items ?? []).map(fromAttributes));
      start = page.LastEvaluatedKey;
    } while (start !== undefined && (limit === undefined || rows.length < limit));
    return rows;
  }

  /** Waits until whatever was committed before the call can be seen. */
  async settle(signal: AbortSignal): Promise<void> {
    await this.#pace.clock.sleep(SETTLE_MS, signal);
    throwIfAborted(signal);
  }

  /** The items that there are of these keys, in the keys' order. */
  async getAll(keys: readonly Key[], signal: AbortSignal): Promise<Row[]> {
    const found = new Map<string, Row>();
    for (let at = 0; at < keys.length; at += MAX_BATCH_KEYS) {
      let waiting = keys.slice(at, at + MAX_BATCH_KEYS).map((key) => toAttributes({ ...key }));
      while (waiting.length > 0) {
        const command = new BatchGetItemCommand({ RequestItems: { [this.#name]: { Keys: waiting, ConsistentRead: true } } });
        const answer = await this.#attempt(signal, async () => {
          const output = await this.#client.send(command, { abortSignal: signal });
          // With nothing at all processed it was throttled.
          if (Object.values(output.Responses ?? {}).every((items) => items.length === 0) && hasUnprocessed(output)) {
            throw Object.assign(new Error('no key of the batch was processed'), { name: 'ThrottlingException' });
          }
          return output;
        });
        for (const item of answer.Responses?.[this.#name] ?? []) {
          const row = fromAttributes(item);
          found.set(JSON.stringify([row['pk'], row['sk']]), row);
        }
        waiting = answer.UnprocessedKeys?.[this.#name]?.Keys ?? [];
      }
    }
    return keys.map(({ pk, sk }) => found.get(JSON.stringify([pk, sk]))).filter((row) => row !== undefined);
  }

  /**
   * Writes all or nothing. Gives the indices of the writes whose conditions did not hold; with none, all was written. A request
   * whose answer got lost is repeated under its token, and takes effect once.
   */
  async transact(writes: readonly Write[], signal: AbortSignal): Promise<ReadonlySet<number>> {
    const command = new TransactWriteItemsCommand({
      ClientRequestToken: randomUUID(),
      TransactItems: writes.map((write) => this.#toTransactItem(write)),
    });
    return this.#attempt(signal, async () => {
      try {
        await this.#client.send(command, { abortSignal: signal });
        return new Set<number>();
      } catch (error) {
        const reasons = cancellationReasons(error) ?? [];
        const failed = reasons.flatMap((reason, index) => (reason === 'ConditionalCheckFailed' ? [index] : []));
        if (failed.length === 0) {
          throw error;
        }
        return new Set(failed);
      }
    });
  }

  /**
   * Writes one item, for half of what a transaction costs. False when the condition did not hold, or when it did, the answer got
   * lost, and the item written is in the way of its own repetition.
   */
  async put(key: Key, item: Attributes, condition: Condition, signal: AbortSignal): Promise<boolean> {
    const Item = { ...toAttributes(item), ...toAttributes({ ...key }) };
    const command = new PutItemCommand({ TableName: this.#name, Item, ...toCondition(condition) });
    return this.#attempt(signal, async () => {
      try {
        await this.#client.send(command, { abortSignal: signal });
        return true;
      } catch (error) {
        if (nameOf(error) === 'ConditionalCheckFailedException') {
          return false;
        }
        throw error;
      }
    });
  }

  /** Adds one to a number, which begins at 0, and gives the sum. More than one where an answer got lost. */
  async increment(key: Key, attribute: string, signal: AbortSignal): Promise<number> {
    const command = new UpdateItemCommand({
      TableName: this.#name,
      Key: toAttributes({ ...key }),
      UpdateExpression: 'ADD #sum :one',
      ExpressionAttributeNames: { '#sum': attribute },
      ExpressionAttributeValues: { ':one': toAttribute(1) },
      ReturnValues: 'UPDATED_NEW',
    });
    const { Attributes: sum } = await this.#attempt(signal, () => this.#client.send(command, { abortSignal: signal }));
    return integerOf(fromAttributes(sum ?? {}), attribute);
  }

  /** Reads and writes until no other writer comes in between: until `attempt` throws no LostRaceError. */
  async race<T>(signal: AbortSignal, attempt: () => Promise<T>): Promise<T> {
    return this.#attempt(signal, attempt);
  }

  close(): void {
    this.#client.destroy();
  }

  async #attempt<T>(signal: AbortSignal, attempt: () => Promise<T>): Promise<T> {
    try {
      return await retrying(this.#pace, signal, attempt, isTransient);
    } catch (error) {
      throw translateAwsError(error, { kind: 'table', name: this.#name });
    }
  }

  #toTransactItem(write: Write): TransactWriteItem {
    const TableName = this.#name;
    const Key = toAttributes({ ...write.key });
    const condition = write.condition === undefined ? undefined : toCondition(write.condition);
    switch (write.kind) {
      case 'put':
        return { Put: { TableName, Item: { ...toAttributes(write.item), ...Key }, ...condition } };
      case 'set': {
        const { attribute, value } = write;
        const ExpressionAttributeNames = { ...condition?.ExpressionAttributeNames, '#set': attribute };
        const ExpressionAttributeValues = { ...condition?.ExpressionAttributeValues, ':set': toAttribute(value) };
        const UpdateExpression = 'SET #set = :set';
        return {
          Update: { TableName, Key, UpdateExpression, ...condition, ExpressionAttributeNames, ExpressionAttributeValues },
        };
      }
      case 'delete':
        return { Delete: { TableName, Key, ...condition } };
      case 'check':
        return { ConditionCheck: { TableName, Key, ...toCondition(write.condition) } };
    }
  }
}

function toCondition(condition: Condition): {
  ConditionExpression: string;
  ExpressionAttributeNames?: Record<string, string>;
  ExpressionAttributeValues?: Record<string, AttributeValue>;
} {
  switch (condition) {
    case 'absent':
      return { ConditionExpression: 'attribute_not_exists(pk)' };
    case 'present':
      return { ConditionExpression: 'attribute_exists(pk)' };
    default:
      // Names are always stood in for: many of ours are words of DynamoDB's.
      return {
        ConditionExpression: '#was = :was',
        ExpressionAttributeNames: { '#was': condition.attribute },
        ExpressionAttributeValues: { ':was': toAttribute(condition.equals) },
      };
  }
}

function hasUnprocessed({ UnprocessedKeys }: { UnprocessedKeys?: Record<string, unknown> | undefined }): boolean {
  return Object.keys(UnprocessedKeys ?? {}).length > 0;
}

function keyCondition(range: SortRange): { expression: string; values: Attributes } {
  switch (range.kind) {
    case 'all':
      return { expression: '', values: {} };
    case 'after':
      return { expression: ' AND sk > :sk', values: { ':sk': range.value } };
    case 'from':
      return { expression: ' AND sk >= :sk', values: { ':sk': range.value } };
    case 'before':
      return { expression: ' AND sk < :sk', values: { ':sk': range.value } };
    case 'prefix':
      return { expression: ' AND begins_with(sk, :sk)', values: { ':sk': range.value } };
    case 'between':
      return { expression: ' AND sk BETWEEN :low AND :high', values: { ':low': range.low, ':high': range.high } };
  }
}
