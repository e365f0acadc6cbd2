import { type InferenceConfig, readInferenceConfig } from '../../inference/config.ts';
import { ConfigError, type Environment } from '../../infra/process/env.ts';
import { readRegistryConfig, type RegistryConfig } from '../../registry/config.ts';
import { levenshtein } from '../../registry/model/suggest.ts';

export type Services = 'registry' | 'inference' | 'all';

export interface ServeSettings {
  readonly registry: RegistryConfig | undefined;
  readonly inference: InferenceConfig | undefined;
}

/** The registry that is started beside takes the place of any other; its port may not be known yet. */
const BESIDE = '127.0.0.1:1';

/**
 * The settings of the services to be started.
 * @throws ConfigError with every problem of all of them.
 */
export function readServeSettings(services: Services, env: Environment): ServeSettings {
  const problems = new Set<string>();
  const read = <T>(isWanted: boolean, config: () => T): T | undefined => {
    try {
      return isWanted ? config() : undefined;
    } catch (error) {
      if (!(error instanceof ConfigError)) {
        throw error;
      }
      // Once, where both services read the same variable.
      error.problems.forEach((problem) => problems.add(problem));
      return undefined;
    }
  };
  const inferenceEnv = services === 'all' ? { ...env, REGISTRY_ADDRESS: BESIDE } : env;
  const registry = read(services !== 'inference', () => readRegistryConfig(env));
  const inference = read(services !== 'registry', () => readInferenceConfig(inferenceEnv));
  if (problems.size > 0) {
    throw new ConfigError([...problems]);
  }
  return { registry, inference };
}

export interface UnknownVariable {
  readonly variable: string;
  /** The one that it may have been meant as. */
  readonly meant: string | undefined;
}

/** Nobody else begins a name with it. */
const OWN_PREFIX = 'MASKTERIAL_';
/** Of the other commands, which a user may well have set for good. */
const OF_OTHER_COMMANDS = ['MASKTERIAL_REGISTRY', 'MASKTERIAL_INFERENCE'];
/** Letters by which a typing error differs. */
const MAX_DISTANCE = 2;
/** Shorter names are all near each other. */
const MIN_LENGTH = 6;

/** Variables that no service reads and that look as if one should: a setting that silently has no effect is worse than none. */
export function unknownVariables(env: Environment): UnknownVariable[] {
  const known = new Set([...variablesRead({}), ...variablesRead(env), ...OF_OTHER_COMMANDS]);
  return Object.keys(env)
    .filter((variable) => !known.has(variable))
    .map((variable) => ({ variable, meant: nearest(variable, known) }))
    .filter(({ variable, meant }) => meant !== undefined || variable.startsWith(OWN_PREFIX));
}

/** What the services ask an environment for. */
function variablesRead(env: Environment): ReadonlySet<string> {
  const names = new Set<string>();
  const noting = new Proxy(env, {
    get: (target, name) => {
      if (typeof name !== 'string') {
        return undefined;
      }
      names.add(name);
      return target[name];
    },
  });
  for (const read of [readRegistryConfig, readInferenceConfig]) {
    try {
      read(noting);
    } catch {
      // Its problems are told elsewhere; the names were asked for all the same.
    }
  }
  return names;
}

function nearest(variable: string, known: ReadonlySet<string>): string | undefined {
  const distances = [...known]
    .filter((name) => Math.min(name.length, variable.length) >= MIN_LENGTH)
    .map((name) => ({ name, distance: levenshtein(variable.toUpperCase(), name, MAX_DISTANCE) }))
    .filter(({ distance }) => distance <= MAX_DISTANCE)
    .toSorted((a, b) => a.distance - b.distance);
  return distances[0]?.name;
}
