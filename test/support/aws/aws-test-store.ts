import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { CreateBucketCommand, PutBucketVersioningCommand } from '@aws-sdk/client-s3';
import { AWS_TOOLS, startLocalAws } from '../../../infra/local/aws-servers.ts';
import { processEnvironment } from '../../../infra/process/env.ts';
import { createDynamoClient, createS3Client } from '../../../registry/adapters/aws/aws-clients.ts';
import type { AwsSettings } from '../../../registry/adapters/aws/aws-settings.ts';
import { createTable } from '../../../registry/adapters/aws/create-table.ts';
import { DEFAULT_RETRY, type Pace } from '../../../registry/adapters/aws/retry.ts';
import { systemClock } from '../../../registry/release/clock.ts';
import { repositoryRoot } from '../reference-data.ts';
import { never } from '../registry/publish.ts';
import { findTool } from '../tools.ts';

export const pace: Pace = { clock: systemClock, random: Math.random, settings: DEFAULT_RETRY };

/** Pass as a test's options: runs it where the local servers are, skips it visibly elsewhere. */
export function needsLocalAws(): { readonly skip: string | false } {
  const missing = AWS_TOOLS.filter((name) => findTool(name) === undefined);
  return { skip: missing.length > 0 ? `${missing.join(' and ')} not here: npm run tools` : false };
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

export async function startAwsTestServers(): Promise<AwsTestServers> {
  const { env, stop } = await startLocalAws({ folder: join(repositoryRoot, '.local'), env: processEnvironment() });
  // The SDK finds credentials there, in the services of this process as in those of any user.
  Object.assign(process.env, env);
  const base: AwsSettings = {
    region: env['AWS_REGION'] ?? '',
    table: '',
    bucket: BUCKET,
    prefix: '',
    kmsKeyId: undefined,
    dynamoEndpoint: env['AWS_ENDPOINT_URL_DYNAMODB'],
    s3Endpoint: env['AWS_ENDPOINT_URL_S3'],
  };
  const dynamo = createDynamoClient(base);
  const s3 = createS3Client(base);
  await s3.send(new CreateBucketCommand({ Bucket: BUCKET }));
  await s3.send(new PutBucketVersioningCommand({ Bucket: BUCKET, VersioningConfiguration: { Status: 'Enabled' } }));
  s3.destroy();
  return {
    env,
    newStore: async () => {
      const id = randomUUID();
      await createTable(dynamo, pace, `test-${id}`, never);
      return { ...base, table: `test-${id}`, prefix: `test/${id}` };
    },
    stop: async () => {
      dynamo.destroy();
      await stop();
    },
  };
}
