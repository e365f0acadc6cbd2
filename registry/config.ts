import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { type Environment, EnvReader } from '../infra/process/env.ts';
import { type ListenSettings, readListenSettings } from '../infra/process/listen.ts';
import { LOG_LEVELS, type LogLevel } from '../infra/process/log.ts';

export interface RegistryConfig {
  readonly listen: ListenSettings;
  /** The folder that holds everything: catalog and blobs. */
  readonly dataFolder: string;
  /** How often the feed is asked for changes of other processes on the same folder, while somebody watches. */
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
