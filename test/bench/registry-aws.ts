import { randomUUID } from 'node:crypto';
import {
  type AttributeValue,
  type DynamoDBClient,
  GetItemCommand,
  QueryCommand,
  TransactWriteItemsCommand,
} from '@aws-sdk/client-dynamodb';
import { GetObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import { parseDigest } from '../../proto/wire/digest.ts';
import { createDynamoClient, createS3Client } from '../../registry/adapters/aws/aws-clients.ts';
import type { AwsSettings } from '../../registry/adapters/aws/aws-settings.ts';
import { openAwsStore } from '../../registry/adapters/aws/open-aws-store.ts';
import { s3LayoutOf } from '../../registry/adapters/aws/s3-layout.ts';
import { type Key, keys } from '../../registry/adapters/aws/table-layout.ts';
import { systemClock } from '../../registry/release/clock.ts';
import { createRegistry } from '../../registry/release/registry.ts';
import { ignoreLeftover, registryEnv, startAwsTestServers } from '../support/aws/aws-test-store.ts';
import { never } from '../support/registry/publish.ts';
import { startRegistryServer } from '../support/registry/registry-server.ts';
import { ALIAS, type Calls, callsOf, fill, MODEL, PAGE, type RegistryPair, toAndFro } from './registry-pair.ts';

const SETTINGS = { feedPollMs: 250, serverTtlMs: 30_000 };

/** DynamoDB and S3, as local servers stand in for them, against the SDK on a table and a prefix with the same content. */
export async function openAwsPair(): Promise<RegistryPair> {
  const servers = await startAwsTestServers();
  const openOn = async (settings: AwsSettings) => {
    const store = await openAwsStore(settings, { clock: systemClock, onLeftover: ignoreLeftover }, never);
    const registry = createRegistry({ ...store, clock: systemClock, newId: () => randomUUID() }, SETTINGS);
    await fill(registry);
    return { registry, close: () => store.close() };
  };
  const [settings, bare] = [await servers.newStore(), await servers.newStore()];
  const own = await openOn(settings);
  (await openOn(bare)).close();
  const server = await startRegistryServer('/nowhere', registryEnv(settings));
  const [dynamo, s3] = [createDynamoClient(bare), createS3Client(bare)];
  const next = toAndFro();
  return {
    name: 'AWS: local servers that stand in for DynamoDB and S3',
    bareName: 'bare SDK',
    calls: {
      bare: bareCalls(dynamo, s3, bare),
      'in this process': callsOf(own.registry, next),
      'through gRPC': callsOf(server.registry, next),
    },
    [Symbol.asyncDispose]: async () => {
      dynamo.destroy();
      s3.destroy();
      await server[Symbol.asyncDispose]();
      own.close();
      await servers.stop();
    },
  };
}

type Item = Record<string, AttributeValue>;

/** The same items and objects read and written, with nothing around them. */
function bareCalls(dynamo: DynamoDBClient, s3: S3Client, { table, bucket, prefix }: AwsSettings): Calls {
  const TableName = table;
  const next = toAndFro();
  const keyOf = ({ pk, sk }: Key): Item => ({ pk: { S: pk }, sk: { S: sk } });
  const get = async (key: Key): Promise<Item> =>
    (await dynamo.send(new GetItemCommand({ TableName, Key: keyOf(key), ConsistentRead: true }))).Item ?? {};
  const query = async (condition: string, values: Record<string, string>, Limit?: number): Promise<Item[]> => {
    const ExpressionAttributeValues = Object.fromEntries(Object.entries(values).map(([name, S]) => [name, { S }]));
    const input = { TableName, KeyConditionExpression: condition, ExpressionAttributeValues, ConsistentRead: true };
    return (await dynamo.send(new QueryCommand({ ...input, ...(Limit !== undefined && { Limit }) }))).Items ?? [];
  };
  const number = (item: Item, name: string): number => Number(item[name]?.N ?? 0);

  return {
    promote: async () => {
      const version = await get(keys.version(MODEL, next()));
      const alias = await get(keys.alias(MODEL, ALIAS));
      const sequence = number(await get(keys.feedHead), 'sequence') + 1;
      const revision = number(alias, 'revision') + 1;
      const { pk: _, sk: __, ...state } = alias;
      const entry: Item = {
        ...state,
        version: { N: version['sk']?.S?.replace(/^0+/, '') ?? '' },
        manifestDigest: version['manifestDigest'] ?? { S: '' },
        manifestSizeBytes: version['manifestSizeBytes'] ?? { N: '0' },
        revision: { N: String(revision) },
        backRevision: { N: String(revision - 1) },
        updateTimeMs: { N: String(Date.now()) },
        sequence: { N: String(sequence) },
      };
      const equals = (name: string, N: number) => ({
        ConditionExpression: '#was = :was',
        ExpressionAttributeNames: { '#was': name },
        ExpressionAttributeValues: { ':was': { N: String(N) } },
      });
      const put = (key: Key, item: Item, condition = {}) => ({
        Put: { TableName, Item: { ...item, ...keyOf(key) }, ...condition },
      });
      const manifest = keys.manifest(MODEL, parseDigest(entry['manifestDigest']?.S ?? '', 'digest'));
      const TransactItems = [
        put(keys.alias(MODEL, ALIAS), entry, equals('revision', revision - 1)),
        { ConditionCheck: { TableName, Key: keyOf(manifest), ...equals('version', Number(entry['version']?.N)) } },
        put(keys.feedHead, { sequence: { N: String(sequence) } }, equals('sequence', sequence - 1)),
        put(keys.feed(sequence), entry, { ConditionExpression: 'attribute_not_exists(pk)' }),
        put(keys.event(MODEL, sequence), entry),
        put(keys.aliasEvent(MODEL, ALIAS, revision), entry),
      ];
      await dynamo.send(new TransactWriteItemsCommand({ ClientRequestToken: randomUUID(), TransactItems }));
    },
    resolve: async () => {
      const aliasesOf = { ':pk': keys.alias('', '').pk, ':sk': `${MODEL}#` };
      const [, aliases] = await Promise.all([get(keys.model(MODEL)), query('pk = :pk AND begins_with(sk, :sk)', aliasesOf)]);
      const version = await get(keys.version(MODEL, number(aliases[0] ?? {}, 'version')));
      const digest = parseDigest(version['manifestDigest']?.S ?? '', 'digest');
      const { Body } = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: s3LayoutOf(prefix).blob(digest) }));
      await Body?.transformToByteArray();
    },
    list: async () => {
      const models = await query('pk = :pk', { ':pk': keys.model('').pk }, PAGE);
      const [low, high] = [models.at(0), models.at(-1)].map((item) => item?.['sk']?.S ?? '');
      const between = { ':pk': keys.alias('', '').pk, ':low': `${low}#`, ':high': `${high}$` };
      await query('pk = :pk AND sk BETWEEN :low AND :high', between);
    },
  };
}
