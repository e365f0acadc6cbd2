import type { Command } from 'commander';
import type { Cli } from '../cli.ts';
import { jsonOption, numberParser } from '../options.ts';
import { type RegistryOptions, useRegistry, withRegistry, writeJson } from '../registry-command.ts';
import { formatBytes } from '../registry-json.ts';

const HOUR_SECONDS = 3600;
/** All of a registry is walked. */
const TIMEOUT_SECONDS = 3600;

interface Options extends RegistryOptions {
  readonly dryRun?: true;
  readonly grace: number;
  readonly json?: true;
}

/** `maskterial gc` */
export function addGc(program: Command, cli: Cli): void {
  const command = program.command('gc').description('remove stored files that no version refers to, and abandoned publishes');
  withRegistry(command, cli, TIMEOUT_SECONDS)
    .option('--dry-run', 'only say what would be removed')
    .option('--grace <hours>', 'leave alone what is younger; a publish that takes longer is ended', numberParser(0, 100_000), 168)
    .addOption(jsonOption())
    .action((options: Options) => collect(cli, options));
}

function collect(cli: Cli, options: Options): Promise<void> {
  return useRegistry(cli, options, async (registry) => {
    const isDryRun = options.dryRun === true;
    const graceSeconds = Math.round(options.grace * HOUR_SECONDS);
    const found = await registry.collectGarbage({ isDryRun, graceSeconds, signal: cli.interrupts() });
    const { stagingCount, blobCount, blobBytes, blobs } = found;
    if (options.json === true) {
      await writeJson(cli, {
        dry_run: isDryRun,
        staging_count: stagingCount,
        blob_count: blobCount,
        blob_bytes: Number(blobBytes),
        blobs: blobs.map(({ digest, sizeBytes }) => ({ digest, size_bytes: Number(sizeBytes) })),
      });
      return;
    }
    for (const { digest, sizeBytes } of blobs) {
      await cli.out.write(`${digest}  ${formatBytes(Number(sizeBytes))}\n`);
    }
    const verb = isDryRun ? 'would remove' : 'removed';
    const what = `${counted(blobCount, 'file')} (${formatBytes(Number(blobBytes))}) and ${counted(stagingCount, 'abandoned publish', 'es')}`;
    await cli.out.write(`${verb} ${what}\n`);
  });
}

function counted(count: number, noun: string, plural = 's'): string {
  return `${count} ${noun}${count === 1 ? '' : plural}`;
}
