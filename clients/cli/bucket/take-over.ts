import { readAwsEndpoint, readAwsRegion } from '../../../infra/process/aws-env.ts';
import { EnvReader } from '../../../infra/process/env.ts';
import { SYSTEM_RETRY_DEPS } from '../../retry.ts';
import type { Cli } from '../cli.ts';
import { usageError } from '../exit-codes.ts';
import type { PublishOptions } from '../publish-options.ts';
import { publishSet } from '../publish-set.ts';
import { findInBucket } from './find-in-bucket.ts';
import { parseBucketPlace } from './object-bucket.ts';

/** Publishes every model of a bucket that was filled as `<MODEL>/<file>`. Region, endpoint and credentials are the environment's. */
export async function takeOver(cli: Cli, text: string, options: PublishOptions): Promise<void> {
  const place = parseBucketPlace(text);
  if (place === undefined) {
    throw usageError(`expected s3://bucket/prefix, found "${text}"`);
  }
  const signal = cli.interrupts();
  const reader = new EnvReader(cli.env);
  const settings = reader.finish({ region: readAwsRegion(reader), endpoint: readAwsEndpoint(reader, 'S3') });
  // Loaded here and not above: the other commands need no SDK.
  const { openS3Bucket } = await import('../../adapters/s3-object-bucket.ts');
  const bucket = openS3Bucket(place.bucket, settings);
  try {
    const candidates = await findInBucket(bucket, place.prefix, options, cli.retryDeps ?? SYSTEM_RETRY_DEPS, signal);
    await publishSet(cli, candidates, options, signal);
  } finally {
    bucket.close();
  }
}
