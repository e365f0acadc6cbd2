import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { readAwsEndpoint, readAwsRegion } from '../infra/process/aws-env.ts';
import { type Environment, EnvReader } from '../infra/process/env.ts';
import { type ListenSettings, readListenSettings } from '../infra/process/listen.ts';
import { LOG_LEVELS, type LogLevel } from '../infra/process/log.ts';
import type { AwsSettings } from './adapters/aws/aws-settings.ts';

export interface RegistryConfig {
  readonly listen: ListenSettings;
  /** The folder that holds everything, catalog and blobs, unless they are on AWS. */
  readonly dataFolder: string;
  /** Catalog and blobs on AWS; undefined for the folder. */
  readonly aws: AwsSettings | undefined;
  /** How often the feed is asked for changes of other processes on the same store, while somebody watches. */
  readonly feedPollMs: number;
  /** How long an upload may wait for the client's next message before it is ended. */
  readonly uploadIdleMs: number;
  /** How often, for its health, the registry asks whether its catalog answers. */
  readonly catalogProbeMs: number;
  /** How long an inference server that says nothing more counts as there; it speaks three times as often. */
  readonly serverTtlMs: number;
  /** How long calls in hand may take at shutdown. */
  readonly graceMs: number;
  readonly logLevel: LogLevel;
}

/**
 * Reads the settings of the registry service:
 *
 * | variable | default | meaning |
 * | --- | --- | --- |
 * | REGISTRY_HOST, REGISTRY_PORT | 127.0.0.1, 50051 | where it listens |
 * | MASKTERIAL_INSECURE | false | allows an address that other machines reach |
 * | REGISTRY_DATA | $XDG_DATA_HOME/maskterial/registry, else ~/.local/share/maskterial/registry | the data folder |
 * | MODELS_S3_BUCKET | | the bucket for the blobs; set, the registry is on AWS, unset, in the data folder |
 * | MODELS_S3_PREFIX | | before every key of the bucket |
 * | MODELS_S3_KMS_KEY_ID | | the key that objects are encrypted with; unset, as the bucket does by itself |
 * | MODELS_TABLE | maskterial-models | the DynamoDB table for the catalog |
 * | AWS_REGION, else AWS_DEFAULT_REGION | us-east-1 | |
 * | AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL_DYNAMODB | | other servers than AWS's |
 * | REGISTRY_FEED_POLL_MS | 250 | how soon watchers see a change made by another process |
 * | REGISTRY_UPLOAD_IDLE_MS | 60000 | how long an upload waits for the client's next message |
 * | REGISTRY_SERVER_TTL_MS | 30000 | an inference server that says nothing for this long is gone from the rollout |
 * | GRACE_MS | 30000 | for calls in hand at shutdown |
 * | LOG_LEVEL | info | |
 *
 * @throws ConfigError with every problem.
 */
export function readRegistryConfig(env: Environment): RegistryConfig {
  const reader = new EnvReader(env);
  const dataHome = reader.text('XDG_DATA_HOME', join(homedir(), '.local', 'share'));
  const dataFolder = reader.text('REGISTRY_DATA', join(dataHome, 'maskterial', 'registry'));
  if (!isAbsolute(dataFolder)) {
    reader.problem(`REGISTRY_DATA: expected an absolute path, found "${dataFolder}"`);
  }
  return reader.finish({
    listen: readListenSettings(reader, 'REGISTRY', 50_051),
    dataFolder,
    aws: readAwsSettings(reader),
    // Four questions a second keep other replicas' promotions within the promised second.
    feedPollMs: reader.integer('REGISTRY_FEED_POLL_MS', 250, 10, 60_000),
    // A client that is silent holds up to a chunk in memory; one on a slow line takes a while for a message of 1 MiB.
    uploadIdleMs: reader.integer('REGISTRY_UPLOAD_IDLE_MS', 60_000, 100, 3_600_000),
    // A load balancer asks about as often.
    catalogProbeMs: 5000,
    // Three reports may be late or lost; less would write more often than anybody looks.
    serverTtlMs: reader.integer('REGISTRY_SERVER_TTL_MS', 30_000, 1000, 3_600_000),
    graceMs: reader.integer('GRACE_MS', 30_000, 0, 3_600_000),
    logLevel: reader.oneOf('LOG_LEVEL', 'info', LOG_LEVELS),
  });
}

const DEFAULT_TABLE = 'maskterial-models';
/** A key is recorded with every artifact, and a version's record has room for 64 of them. */
const MAX_PREFIX_LENGTH = 255;

function readAwsSettings(reader: EnvReader): AwsSettings | undefined {
  const bucket = reader.text('MODELS_S3_BUCKET', undefined);
  const table = reader.text('MODELS_TABLE', DEFAULT_TABLE);
  const prefix = reader.text('MODELS_S3_PREFIX', '').replace(/^\/+|\/+$/g, '');
  const kmsKeyId = reader.text('MODELS_S3_KMS_KEY_ID', undefined);
  const region = readAwsRegion(reader);
  const s3Endpoint = readAwsEndpoint(reader, 'S3');
  const dynamoEndpoint = readAwsEndpoint(reader, 'DYNAMODB');
  if (bucket === undefined) {
    for (const name of ['MODELS_TABLE', 'MODELS_S3_PREFIX', 'MODELS_S3_KMS_KEY_ID']) {
      if (reader.text(name, undefined) !== undefined) {
        reader.problem(`${name}: is set and MODELS_S3_BUCKET is not, so the registry would not be on AWS`);
      }
    }
    return undefined;
  }
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket)) {
    reader.problem(`MODELS_S3_BUCKET: expected the name of a bucket, found "${bucket}"`);
  }
  if (!/^[\w.-]{3,255}$/.test(table)) {
    reader.problem(`MODELS_TABLE: expected the name of a table, found "${table}"`);
  }
  if (!/^[\w.=/-]*$/.test(prefix) || prefix.length > MAX_PREFIX_LENGTH) {
    reader.problem(`MODELS_S3_PREFIX: expected at most ${MAX_PREFIX_LENGTH} of [A-Za-z0-9_.=/-], found "${prefix}"`);
  }
  return { region, table, bucket, prefix, kmsKeyId, dynamoEndpoint, s3Endpoint };
}
