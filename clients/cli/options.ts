import { userInfo } from 'node:os';
import { InvalidArgumentError, Option } from 'commander';
import { type Environment, EnvReader } from '../../infra/process/env.ts';
import { asAliasName, asModelName, type ModelName, type ModelReference, readModelReference } from '../../proto/wire/names.ts';
import { labelViolations } from '../../registry/model/labels.ts';
import { usageError } from './exit-codes.ts';

const DEFAULT_REGISTRY = '127.0.0.1:50051';
const DEFAULT_INFERENCE = '127.0.0.1:50052';

export function registryOption(env: Environment): Option {
  return new Option('--registry <host:port>', 'the registry; MASKTERIAL_REGISTRY sets the default')
    .argParser(parseAddress)
    .default(new EnvReader(env).text('MASKTERIAL_REGISTRY', DEFAULT_REGISTRY));
}

export function inferenceOption(env: Environment): Option {
  return new Option('--inference <host:port>', 'the inference server; MASKTERIAL_INFERENCE sets the default')
    .argParser(parseAddress)
    .default(new EnvReader(env).text('MASKTERIAL_INFERENCE', DEFAULT_INFERENCE));
}

export function jsonOption(): Option {
  return new Option('--json', 'JSON Lines on standard output, one object a line; errors as one JSON object on standard error');
}

export function timeoutOption(defaultSeconds: number): Option {
  return new Option('--timeout <seconds>', 'give up on a call, retries included, after this long')
    .argParser(numberParser(0.001, 86_400))
    .default(defaultSeconds);
}

/** Who and why, for the audit history. */
export function auditOptions(): Option[] {
  return [
    new Option('--actor <name>', 'who does it, recorded as unverified').default(userName(), 'your user name'),
    new Option('--reason <text>', 'why, for the history').default(''),
  ];
}

export function expectedRevisionOption(): Option {
  return new Option(
    '--expected-revision <n>',
    'only if the alias stands at this revision; 0: only if it does not exist yet',
  ).argParser(integerParser(0, 0xffff_ffff));
}

export function requireReadyOption(): Option {
  const meaning = 'only if so many inference servers that keep the alias loaded hold the version ready; see prefetch';
  return new Option('--require-ready <n>', meaning).argParser(integerParser(1, 1_000_000));
}

export function waitTimeoutOption(): Option {
  return new Option('--wait-timeout <seconds>', 'how long --wait waits').argParser(numberParser(0.001, 86_400)).default(300);
}

export function labelOption(meaning: string): Option {
  return new Option('--label <key=value>', meaning).argParser(collectLabel);
}

export type LabelMap = Readonly<Record<string, string>>;

function collectLabel(text: string, previous: LabelMap | undefined): LabelMap {
  const at = text.indexOf('=');
  if (at < 1) {
    throw new InvalidArgumentError(`expected key=value, found "${text}"`);
  }
  const labels = { ...previous, [text.slice(0, at)]: text.slice(at + 1) };
  // Before anything is sent: the registry would refuse the version when its model is created already.
  const [violation] = labelViolations(labels, 'label');
  if (violation !== undefined) {
    throw new InvalidArgumentError(`${violation.field}: ${violation.description}`);
  }
  return labels;
}

/** A number in [min, max]. */
export function numberParser(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() === '' || !(value >= min && value <= max)) {
      throw new InvalidArgumentError(`expected a number from ${min} to ${max}, found "${text}"`);
    }
    return value;
  };
}

export function integerParser(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < min || value > max) {
      throw new InvalidArgumentError(`expected a whole number from ${min} to ${max}, found "${text}"`);
    }
    return value;
  };
}

/** A time with its zone, or a day, which begins at midnight UTC: what is read must not depend on where it is read. */
export function parseTime(text: string): Date {
  const time = new Date(text);
  if (!/^\d{4}-\d\d-\d\d(?:T\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?(?:Z|[+-]\d\d:\d\d))?$/.test(text) || Number.isNaN(time.getTime())) {
    throw new InvalidArgumentError(`expected a time such as 2026-11-01T12:00:00Z or 2026-11-01, found "${text}"`);
  }
  return time;
}

export function parseModel(text: string): ModelName {
  const name = asModelName(text);
  if (name === undefined) {
    throw new InvalidArgumentError(`expected a model name ([A-Za-z0-9][A-Za-z0-9._-]{0,127}), found "${text}"`);
  }
  return name;
}

/** An alias that can be set. */
export function parseAlias(text: string): string {
  const alias = asAliasName(text);
  if (alias === undefined) {
    throw new InvalidArgumentError(`expected an alias ([a-z0-9][a-z0-9._-]{0,63}, not "latest" or "v<number>"), found "${text}"`);
  }
  return alias;
}

/** `NAME`, `NAME@alias` or `NAME:version`. */
export function parseReference(text: string): ModelReference {
  const reference = readModelReference(text, 'model');
  if ('description' in reference) {
    throw new InvalidArgumentError(reference.description);
  }
  return reference;
}

/** Checked here so that a slip in the address is not a minute of retries. */
function parseAddress(text: string): string {
  const port = Number(/^(?:\[[0-9a-fA-F:.]+\]|[^\s:/]+):(\d{1,5})$/.exec(text)?.[1] ?? 0);
  if (port < 1 || port > 65_535) {
    throw new InvalidArgumentError(`expected host:port, found "${text}"`);
  }
  return text;
}

/**
 * The address that a command uses, which on the command line was parsed already; an offline command never looks at it.
 * @throws ServiceError invalid-argument USAGE naming the variable.
 */
export function usedAddress(name: 'registry' | 'inference', text: string): string {
  try {
    return parseAddress(text);
  } catch (error) {
    throw error instanceof InvalidArgumentError ? usageError(`MASKTERIAL_${name.toUpperCase()}: ${error.message}`) : error;
  }
}

/** Some containers run as a user id without a name. */
function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.() ?? 'unknown'}`;
  }
}
