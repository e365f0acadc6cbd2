import { randomInt } from 'node:crypto';
import { basename } from 'node:path';
import { type TestContext, test } from 'node:test';
import { ConfigError, type Environment, processEnvironment } from '../../../infra/process/env.ts';
import { SeededRandom } from './seeded-random.ts';

export interface SoakSettings {
  /** How much of the full counts is run: above 0, at most 1. */
  readonly share: number;
  readonly seed: number;
  /** Of numbered inputs run this one alone. */
  readonly only: number | undefined;
}

/** What a soak test goes by. */
export interface SoakRun extends SoakSettings {
  /** The share of a full count, at least one. */
  portion(fullCount: number): number;
  /** The numbers of the inputs to run. Each makes its own chance from its number, so that any one can be repeated alone. */
  inputs(fullCount: number): readonly number[];
  random(label: string): SeededRandom;
  /** A line in the suite's output, whether the test passes or not. */
  say(text: string): void;
}

const DEFAULT_SEED = 1;
const MAX_SEED = 2 ** 31;

/**
 * Reads SOAK_SHARE (1), SOAK_SEED (1; "random" takes another one each time) and SOAK_ONLY (unset).
 * @throws ConfigError with every problem: a share that is misspelt must not pass for a whole run.
 */
export function readSoakSettings(env: Environment): SoakSettings {
  const problems: string[] = [];
  const share = Number(env['SOAK_SHARE'] ?? 1);
  if (!(share > 0 && share <= 1)) {
    problems.push(`SOAK_SHARE: expected a number above 0, at most 1, found "${env['SOAK_SHARE']}"`);
  }
  const seedText = env['SOAK_SEED'] ?? String(DEFAULT_SEED);
  const seed = seedText === 'random' ? randomInt(MAX_SEED) : Number(seedText);
  if (!/^(?:\d+|random)$/.test(seedText) || seed >= MAX_SEED) {
    problems.push(`SOAK_SEED: expected a whole number below ${MAX_SEED} or "random", found "${seedText}"`);
  }
  const onlyText = env['SOAK_ONLY'];
  if (onlyText !== undefined && !/^\d+$/.test(onlyText)) {
    problems.push(`SOAK_ONLY: expected the number of an input, found "${onlyText}"`);
  }
  if (problems.length > 0) {
    throw new ConfigError(problems);
  }
  return { share, seed, only: onlyText === undefined ? undefined : Number(onlyText) };
}

/** A test of the soak suite: says how it runs and, where it fails, how to repeat that. `file` is the test's `import.meta.url`. */
export function soakTest(
  file: string,
  name: string,
  body: (run: SoakRun, t: TestContext) => Promise<void>,
  options: { readonly skip: string | false } | undefined = { skip: false },
): void {
  test(name, options, async (t) => {
    const settings = readSoakSettings(processEnvironment());
    const how = `SOAK_SHARE=${settings.share} SOAK_SEED=${settings.seed}`;
    const part = basename(new URL(file).pathname, '.test.js');
    const run = createSoakRun(settings, (text) => process.stdout.write(`${part}: ${text}\n`));
    run.say(how);
    const began = performance.now();
    try {
      await body(run, t);
    } catch (error) {
      throw new Error(`to repeat: ${how} npm run test:soak -- ${part}`, { cause: error });
    }
    run.say(`${((performance.now() - began) / 1000).toFixed(1)} s`);
  });
}

export function createSoakRun(settings: SoakSettings, say: (text: string) => void): SoakRun {
  const portion = (fullCount: number): number => Math.max(1, Math.ceil(fullCount * settings.share));
  return {
    ...settings,
    portion,
    inputs: (fullCount) => (settings.only === undefined ? [...Array(portion(fullCount)).keys()] : [settings.only]),
    random: (label) => new SeededRandom(settings.seed, label),
    say,
  };
}
