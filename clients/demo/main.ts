import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { LOG_LEVELS, type LogLevel } from '../../infra/process/log.ts';
import { ServiceError } from '../../proto/wire/errors.ts';
import { EXIT } from '../cli/exit-codes.ts';
import { SYSTEM_RETRY_DEPS } from '../retry.ts';
import { runDemo } from './demo.ts';
import { createScene } from './scene.ts';
import { publishBundle, startDemoServices } from './services.ts';

interface Options {
  readonly seed: number;
  readonly out?: string;
  readonly logLevel: LogLevel;
}

/** All of it takes seconds; whatever hangs is to be reported, not waited for. */
const TIME_LIMIT_MS = 180_000;

const { seed, out, logLevel } = new Command('demo')
  .description('the whole path on a picture whose flakes are known: import, publish, promote, predict, compare')
  .addOption(new Option('--seed <number>', 'another picture').default(1).argParser(parseSeed))
  .option('--out <folder>', 'where to leave bundle, micrograph and overlay; default: a new temporary folder')
  .addOption(new Option('--log-level <level>', "of both services' logs").choices(LOG_LEVELS).default('error'))
  .parse()
  .opts<Options>();

const stop = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'] as const) {
  process.once(name, () => stop.abort(new ServiceError('cancelled', 'CANCELLED', `stopped by ${name}`)));
}
const timer = setTimeout(
  () => stop.abort(new ServiceError('deadline-exceeded', 'DEADLINE_EXCEEDED', `not done after ${TIME_LIMIT_MS / 1000} s`)),
  TIME_LIMIT_MS,
);
try {
  process.exitCode = (await runInTemporaryFolder(stop.signal)) ? EXIT.ok : EXIT.failed;
} catch (error) {
  console.error(`the demo failed: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = EXIT.failed;
} finally {
  clearTimeout(timer);
}

/** The services' own files go with them; what there is to look at stays. */
async function runInTemporaryFolder(signal: AbortSignal): Promise<boolean> {
  // Before the services start: it takes a second in which they could do nothing.
  const scene = createScene(seed);
  const storage = await mkdtemp(join(tmpdir(), 'maskterial-demo-services-'));
  try {
    const folder = out === undefined ? await mkdtemp(join(tmpdir(), 'maskterial-demo-')) : resolve(out);
    const services = await startDemoServices(storage, logLevel);
    try {
      console.log(`services    registry ${services.registry.address}, inference ${services.inference.address}`);
      return await runDemo(
        {
          publishBundle: (bundle, model, until) => publishBundle(services.registry, bundle, model, until),
          promote: async (model, version, alias, until) => {
            await services.registry.promote(model, version, alias, { actor: 'demo', reason: 'first version', signal: until });
          },
          inference: services.inference,
          sleep: (ms, until) => SYSTEM_RETRY_DEPS.sleep(ms, until),
          print: (line) => console.log(line),
        },
        { scene, folder },
        signal,
      );
    } finally {
      await services.stop();
    }
  } finally {
    await rm(storage, { recursive: true, force: true });
  }
}

function parseSeed(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value > 0xffff_ffff) {
    throw new InvalidArgumentError('expected a whole number from 0 to 4294967295');
  }
  return value;
}
