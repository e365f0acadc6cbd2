/** What is wrong with the settings, every problem at once. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`invalid configuration:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
    this.problems = problems;
  }
}

export type Environment = Readonly<Record<string, string | undefined>>;

/** The process's environment; nothing else reads `process.env`. */
export function processEnvironment(): Environment {
  return process.env;
}

/** Reads settings from an environment and collects all problems; `finish` reports them in one error. An empty value is unset. */
export class EnvReader {
  readonly #env: Environment;
  readonly #problems: string[] = [];

  constructor(env: Environment) {
    this.#env = env;
  }

  text<D extends string | undefined>(name: string, fallback: D): string | D {
    const value = this.#env[name];
    return value === undefined || value === '' ? fallback : value;
  }

  /** A whole number between `min` and `max`, both inclusive. */
  integer(name: string, fallback: number, min: number, max: number): number {
    const text = this.text(name, undefined);
    if (text === undefined) {
      return fallback;
    }
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < min || value > max) {
      this.problem(`${name}: expected a whole number from ${min} to ${max}, found "${text}"`);
      return fallback;
    }
    return value;
  }

  flag(name: string, fallback: boolean): boolean {
    const text = this.text(name, undefined);
    if (text === undefined) {
      return fallback;
    }
    if (!/^(1|0|true|false)$/i.test(text)) {
      this.problem(`${name}: expected true or false, found "${text}"`);
    }
    return /^(1|true)$/i.test(text);
  }

  oneOf<T extends string>(name: string, fallback: T, values: readonly T[]): T {
    const text = this.text(name, undefined);
    const value = values.find((candidate) => candidate === text);
    if (text !== undefined && value === undefined) {
      this.problem(`${name}: expected one of ${values.join(', ')}, found "${text}"`);
    }
    return value ?? fallback;
  }

  /** Comma-separated, blanks trimmed, none empty. */
  list(name: string, fallback: readonly string[]): readonly string[] {
    const text = this.text(name, undefined);
    return (
      text
        ?.split(',')
        .map((part) => part.trim())
        .filter((part) => part !== '') ?? fallback
    );
  }

  problem(text: string): void {
    this.#problems.push(text);
  }

  /** @throws ConfigError when anything was wrong. */
  finish<T extends object>(settings: T): Readonly<T> {
    if (this.#problems.length > 0) {
      throw new ConfigError(this.#problems);
    }
    return Object.freeze(settings);
  }
}
