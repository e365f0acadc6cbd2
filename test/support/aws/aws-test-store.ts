import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { DeleteTableCommand, type DynamoDBClient, UpdateTableCommand } from '@aws-sdk/client-dynamodb';
import {
  CreateBucketCommand,
  DeleteObjectsCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { AWS_TOOLS, startLocalAws } from '../../../infra/local/aws-servers.ts';
import { type Environment, processEnvironment } from '../../../infra/process/env.ts';
import { createDynamoClient, createS3Client } from '../../../registry/adapters/aws/aws-clients.ts';
import type { AwsSettings } from '../../../registry/adapters/aws/aws-settings.ts';
import { createTable } from '../../../registry/adapters/aws/create-table.ts';
import { DEFAULT_RETRY, type Pace } from '../../../registry/adapters/aws/retry.ts';
import { systemClock } from '../../../registry/release/clock.ts';
import { repositoryRoot } from '../reference-data.ts';
import { never } from '../registry/publish.ts';
import { findTool } from '../tools.ts';

export const pace: Pace = { clock: systemClock, random: Math.random, settings: DEFAULT_RETRY };

/** A versioned bucket of an account: tests that make no trouble then run there, unless AWS_ENDPOINT_URL_* name other servers. */
const { TEST_MODELS_S3_BUCKET: ACCOUNT_BUCKET } = process.env;

/** Pass as a test's options: runs it where the local servers are, skips it visibly elsewhere. */
export function needsLocalAws(): { readonly skip: string | false } {
  const missing = AWS_TOOLS.filter((name) => findTool(name) === undefined);
  return { skip: missing.length > 0 ? `${missing.join(' and ')} not here: npm run tools` : false };
}

/** The same for tests that an account can be used for. */
export function needsAws(): { readonly skip: string | false } {
  return ACCOUNT_BUCKET === undefined ? needsLocalAws() : { skip: false };
}

/** Uploads of one blob at once can meet while they clean up; what stays behind is for a sweep. */
export function ignoreLeftover(): void {
  // Nothing to do.
}

/** The settings with which the registry service uses a store. */
export function registryEnv({ table, bucket, prefix }: AwsSettings): Readonly<Record<string, string>> {
  return { MODELS_TABLE: table, MODELS_S3_BUCKET: bucket, MODELS_S3_PREFIX: prefix };
}

/** Both servers, with a versioned bucket; each store on them has a table and a prefix of its own. */
export interface AwsTestServers {
  /** What the services read to find them. */
  readonly env: Readonly<Record<string, string>>;
  newStore(): Promise<AwsSettings>;
  stop(): Promise<void>;
}

const BUCKET = 'maskterial-test';

/** On an account where one is named, else on servers of this machine. For tests that `needsAws`. */
export async function startAwsTestStores(): Promise<AwsTestServers> {
  if (ACCOUNT_BUCKET === undefined) {
    return startAwsTestServers();
  }
  const env = Object.fromEntries(
    Object.entries(processEnvironment()).flatMap(([name, value]) =>
      name.startsWith('AWS_') && value !== undefined ? [[name, value]] : [],
    ),
  );
  const place = readPlace(env, ACCOUNT_BUCKET);
  const dynamo = createDynamoClient(place);
  const s3 = createS3Client(place);
  const stores: AwsSettings[] = [];
  return {
    env,
    newStore: () => newStore(dynamo, place, stores),
    stop: async () => {
      for (const store of stores) {
        await removeStore(dynamo, s3, store);
      }
      dynamo.destroy();
      s3.destroy();
    },
  };
}

export async function startAwsTestServers(): Promise<AwsTestServers> {
  const { env, stop } = await startLocalAws({ folder: join(repositoryRoot, '.local'), env: processEnvironment() });
  // The SDK finds credentials there, in the services of this process as in those of any user.
  Object.assign(process.env, env);
  const place = readPlace(env, BUCKET);
  const dynamo = createDynamoClient(place);
  const s3 = createS3Client(place);
  await s3.send(new CreateBucketCommand({ Bucket: BUCKET }));
  await s3.send(new PutBucketVersioningCommand({ Bucket: BUCKET, VersioningConfiguration: { Status: 'Enabled' } }));
  s3.destroy();
  return {
    env,
    newStore: () => newStore(dynamo, place, []),
    stop: async () => {
      dynamo.destroy();
      await stop();
    },
  };
}

function readPlace(env: Environment, bucket: string): AwsSettings {
  return {
    region: env['AWS_REGION'] ?? env['AWS_DEFAULT_REGION'] ?? 'us-east-1',
    table: '',
    bucket,
    prefix: '',
    kmsKeyId: undefined,
    dynamoEndpoint: env['AWS_ENDPOINT_URL_DYNAMODB'],
    s3Endpoint: env['AWS_ENDPOINT_URL_S3'],
  };
}

async function newStore(dynamo: DynamoDBClient, place: AwsSettings, stores: AwsSettings[]): Promise<AwsSettings> {
  const id = randomUUID();
  const store = { ...place, table: `test-${id}`, prefix: `test/${id}` };
  await createTable(dynamo, pace, store.table, never);
  stores.push(store);
  return store;
}

/** A table of the catalog is protected from deletion, and the bucket keeps versions: neither may cost the account anything later. */
async function removeStore(dynamo: DynamoDBClient, s3: S3Client, { table, bucket, prefix }: AwsSettings): Promise<void> {
  await dynamo.send(new UpdateTableCommand({ TableName: table, DeletionProtectionEnabled: false }));
  await dynamo.send(new DeleteTableCommand({ TableName: table }));
  for (;;) {
    const { Versions = [], DeleteMarkers = [] } = await s3.send(
      new ListObjectVersionsCommand({ Bucket: bucket, Prefix: `${prefix}/` }),
    );
    const Objects = [...Versions, ...DeleteMarkers].map(({ Key, VersionId }) => ({ Key, VersionId }));
    if (Objects.length === 0) {
      return;
    }
    await s3.send(new DeleteObjectsCommand({ Bucket: bucket, Delete: { Objects } }));
  }
}
