import type { Command } from 'commander';
import { readRegistryConfig } from '../../../registry/config.ts';
import { systemClock } from '../../../registry/release/clock.ts';
import type { Cli } from '../cli.ts';
import { usageError } from '../exit-codes.ts';
import { jsonOption } from '../options.ts';
import { writeJson } from '../registry-command.ts';

interface Options {
  readonly createBucket?: true;
  readonly restored?: true;
  readonly json?: true;
}

/** `maskterial setup`: creates on AWS what the registry's settings name and is not there. */
export function addSetup(program: Command, cli: Cli): void {
  program
    .command('setup')
    .description("create the registry's table on AWS (MODELS_S3_BUCKET, MODELS_TABLE); running it again changes nothing")
    .option('--create-bucket', 'create the bucket too, versioned, where there is none')
    .option('--restored', 'the table was put back to an earlier moment: watchers of before start anew, with a snapshot')
    .addOption(jsonOption())
    .action((options: Options) => setUp(cli, options));
}

async function setUp(cli: Cli, options: Options): Promise<void> {
  const { aws } = readRegistryConfig(cli.env);
  if (aws === undefined) {
    throw usageError('MODELS_S3_BUCKET is not set: a registry in a folder needs no setup');
  }
  // Loaded here and not above: the other commands need no SDK.
  const { setUpAws } = await import('../../../registry/adapters/aws/set-up.ts');
  const { table, isBucketCreated, storeId } = await setUpAws(
    aws,
    systemClock,
    { createBucket: options.createBucket === true, isRestored: options.restored === true },
    cli.interrupts(),
  );
  if (options.json === true) {
    await writeJson(cli, {
      table: aws.table,
      table_created: table.isCreated,
      point_in_time_recovery: table.isRecoverable,
      time_to_live: table.isExpiring,
      bucket: aws.bucket,
      bucket_created: isBucketCreated,
      store_id: storeId,
    });
    return;
  }
  const made = (isCreated: boolean): string => (isCreated ? 'created' : 'is there');
  const recovery = table.isRecoverable ? '' : ', without point-in-time recovery: this server has none';
  const expiry = table.isExpiring ? '' : ', without time to live: this server keeps what has ended';
  await cli.out.write(`table   ${aws.table}  ${made(table.isCreated)}${recovery}${expiry}\n`);
  await cli.out.write(`bucket  ${aws.bucket}  ${made(isBucketCreated)}\n`);
  if (options.restored === true) {
    await cli.out.write(`store   ${storeId}  a new identity\n`);
  }
}
