import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { InferenceConfig } from '../../../inference/config.ts';
import type { Environment } from '../../../infra/process/env.ts';
import { createLogger } from '../../../infra/process/log.ts';
import { exitUnlessDone, untilStopped } from '../../../infra/process/signals.ts';
import type { RegistryConfig } from '../../../registry/config.ts';
import type { Cli } from '../cli.ts';
import { readServeSettings, type Services, type ServeSettings, unknownVariables } from '../serve-settings.ts';

/** For what follows the calls in hand, such as closing a database on a slow disk. */
const CLEAN_UP_MS = 10_000;

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

  withData(start('registry', 'the registry')).action((options: Options) => run(cli, 'registry', options));
  withCache(start('inference', 'an inference server'))
    .option('--registry <host:port>', 'the registry (REGISTRY_ADDRESS)')
    .action((options: Options) => run(cli, 'inference', options));
  withCache(withData(start('all', 'the registry, and an inference server that uses it'))).action((options: Options) =>
    run(cli, 'all', options),
  );
}

/** Starts, says what runs where, waits for a signal, stops the last one started first. */
async function run(cli: Cli, services: Services, options: Options): Promise<void> {
  const env = environmentOf(cli, options);
  const settings = readServeSettings(services, env);
  const configs = [settings.registry, settings.inference].filter((config) => config !== undefined);
  const logger = createLogger(configs[0]?.logLevel ?? 'info', 'maskterial');
  for (const { variable, meant } of unknownVariables(env)) {
    logger.warn({ variable, ...(meant === undefined ? {} : { meant }) }, 'unknown variable: it has no effect');
  }
  // Listened to from before the start, so that a signal in the middle of it ends in an orderly stop too.
  const stopped = untilStopped(logger);
  const running = await startAll(settings);
  await cli.out.write(`maskterial is running; ctrl-c stops it\n${running.map(({ line }) => `  ${line}\n`).join('')}`);
  await stopped;
  const graceMs = configs.reduce((sum, config) => sum + config.graceMs, 0);
  using _ = exitUnlessDone(logger, graceMs + CLEAN_UP_MS);
  await stopAll(running);
  await cli.out.write('stopped\n');
}

async function startAll({ registry, inference }: ServeSettings): Promise<Running[]> {
  const running: Running[] = [];
  try {
    if (registry !== undefined) {
      running.push(await startRegistryService(registry));
    }
    const [beside] = running;
    if (inference !== undefined) {
      const registryAddress = beside === undefined ? inference.registryAddress : reachable(beside.address);
      running.push(await startInferenceService({ ...inference, registryAddress }));
    }
    return running;
  } catch (error) {
    await stopAll(running);
    throw error;
  }
}

/** Loaded here and not above: the other commands need neither the services nor their native libraries. */
async function startRegistryService(config: RegistryConfig): Promise<Running> {
  const { startRegistry } = await import('../../../registry/main.ts');
  const { address, storage, ...service } = await startRegistry(config, { logger: createLogger(config.logLevel, 'registry') });
  return { address, stop: () => service.stop(), line: `registry   ${address}  data in ${storage}` };
}

async function startInferenceService(config: InferenceConfig): Promise<Running> {
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
