import { resolve } from 'node:path';
import type { Command } from 'commander';
import { readInferenceConfig } from '../../../inference/config.ts';
import type { Environment } from '../../../infra/process/env.ts';
import { createLogger } from '../../../infra/process/log.ts';
import { untilStopped } from '../../../infra/process/signals.ts';
import { readRegistryConfig } from '../../../registry/config.ts';
import type { Cli } from '../cli.ts';

interface Options {
  readonly data?: string;
  readonly cache?: string;
  readonly registry?: string;
  readonly insecure?: true;
}

/** One running service, for the block that says what runs where. */
interface Running {
  readonly line: string;
  readonly address: string;
  stop(): Promise<void>;
}

/** `maskterial serve registry|inference|all`. Settings come from the environment; the options here override it. */
export function addServe(program: Command, cli: Cli): void {
  const serve = program.command('serve').description('run the services in this process until it is stopped');
  const start = (name: string, description: string): Command =>
    serve.command(name).description(description).option('--insecure', 'allow an address that other machines reach, without TLS');
  const withData = (command: Command): Command => command.option('--data <folder>', "the registry's data (REGISTRY_DATA)");
  const withCache = (command: Command): Command => command.option('--cache <folder>', 'the cache of models (MODEL_PATH)');

  withData(start('registry', 'the registry')).action((options: Options) =>
    run(cli, async () => [await registry(environmentOf(cli, options))]),
  );
  withCache(start('inference', 'an inference server'))
    .option('--registry <host:port>', 'the registry (REGISTRY_ADDRESS)')
    .action((options: Options) => run(cli, async () => [await inference(environmentOf(cli, options))]));
  withCache(withData(start('all', 'the registry, and an inference server that uses it'))).action((options: Options) =>
    run(cli, () => both(environmentOf(cli, options))),
  );
}

/** Starts, says what runs where, waits for a signal, stops the last one started first. */
async function run(cli: Cli, start: () => Promise<readonly Running[]>): Promise<void> {
  const logger = createLogger('info', 'maskterial');
  // Listened to from before the start, so that a signal in the middle of it ends in an orderly stop too.
  const stopped = untilStopped(logger);
  const running = await start();
  await cli.out.write(`maskterial is running; ctrl-c stops it\n${running.map(({ line }) => `  ${line}\n`).join('')}`);
  await stopped;
  await stopAll(running);
  await cli.out.write('stopped\n');
}

async function both(env: Environment): Promise<Running[]> {
  // Both read first: a wrong setting of the second must not leave the first half-started.
  readRegistryConfig(env);
  readInferenceConfig({ ...env, REGISTRY_ADDRESS: '127.0.0.1:1' });
  const first = await registry(env);
  try {
    return [first, await inference({ ...env, REGISTRY_ADDRESS: reachable(first.address) })];
  } catch (error) {
    await first.stop();
    throw error;
  }
}

/** Loaded here and not above: the other commands need neither the services nor their native libraries. */
async function registry(env: Environment): Promise<Running> {
  const config = readRegistryConfig(env);
  const { startRegistry } = await import('../../../registry/main.ts');
  const { address, dataFolder, ...service } = await startRegistry(config, { logger: createLogger(config.logLevel, 'registry') });
  return { address, stop: () => service.stop(), line: `registry   ${address}  data in ${dataFolder}` };
}

async function inference(env: Environment): Promise<Running> {
  const config = readInferenceConfig(env);
  const { startInference } = await import('../../../inference/main.ts');
  const { address, cacheFolder, ...service } = await startInference(config, {
    logger: createLogger(config.logLevel, 'inference'),
  });
  return {
    address,
    stop: () => service.stop(),
    line: `inference  ${address}  cache in ${cacheFolder}, registry ${config.registryAddress}`,
  };
}

async function stopAll(running: readonly Running[]): Promise<void> {
  for (const service of running.toReversed()) {
    await service.stop();
  }
}

function environmentOf({ env }: Cli, { data, cache, registry: registryAddress, insecure }: Options): Environment {
  return {
    ...env,
    ...(data === undefined ? {} : { REGISTRY_DATA: resolve(data) }),
    ...(cache === undefined ? {} : { MODEL_PATH: resolve(cache) }),
    ...(registryAddress === undefined ? {} : { REGISTRY_ADDRESS: registryAddress }),
    ...(insecure === true ? { MASKTERIAL_INSECURE: 'true' } : {}),
  };
}

/** A server bound to every address is reached from its own machine at loopback. */
function reachable(address: string): string {
  return address.replace(/^(0\.0\.0\.0|\[::\]):/, '127.0.0.1:');
}
