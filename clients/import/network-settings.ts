import { invalidBundle, quote } from './bundle-error.ts';
import { JsonObject, type JsonValue, parseLooseJson } from './loose-json.ts';

/** What `meta_data.json` says about an AMM or MLP network. */
export interface NetworkSettings {
  /** Per channel, in order B, G, R. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
  /** With the background, which is class 0. */
  readonly classCount: number;
  readonly embeddingSize: number;
  /** Number of residual layers. */
  readonly depth: number;
  readonly hasSpectralNorm: boolean;
  readonly spectralCoefficient: number;
}

/** A few kilobytes in practice. */
export const MAX_SETTINGS_BYTES = 4 * 1024 * 1024;

/** Colour channels: nothing else is ever classified. */
export const CHANNELS = 3;
/** Bounds for files that are not trusted; the published models have 16 and 4. */
const MAX_EMBEDDING_SIZE = 1024;
const MAX_DEPTH = 256;
/** Classes are answered as bytes: 0 for the background and up to 255 layers. */
const MAX_CLASSES = 256;
/** 64 MB of float32: bounds what these three can ask for together. */
const MAX_WEIGHTS = 16 * 1024 * 1024;

/**
 * Reads the settings; keys missing under `train_config.model_arch` have the defaults of the network's constructor.
 * @throws INVALID_BUNDLE listing everything that is missing or out of range.
 */
export function parseNetworkSettings(bytes: Uint8Array, file: string): NetworkSettings {
  const json = parseLooseJson(bytes, file);
  const reader = new SettingsReader(json);
  const settings: NetworkSettings = {
    mean: reader.channels('train_mean', () => true, 'finite numbers'),
    std: reader.channels('train_std', (value) => value > 0, 'numbers above 0'),
    classCount: reader.integer('num_classes', 2, 2, MAX_CLASSES),
    embeddingSize: reader.integer('embedding_dim', 16, 1, MAX_EMBEDDING_SIZE),
    depth: reader.integer('depth', 4, 0, MAX_DEPTH),
    hasSpectralNorm: reader.boolean('spectral_normalization', true),
    spectralCoefficient: reader.positive('spec_coeff', 0.95),
  };
  reader.integer('input_dim', CHANNELS, CHANNELS, CHANNELS);
  const weights = settings.embeddingSize ** 2 * (settings.depth + settings.classCount);
  if (weights > MAX_WEIGHTS) {
    reader.problems.push(`model_arch: a network of ${weights} weights, at most ${MAX_WEIGHTS}`);
  }
  if (reader.problems.length > 0) {
    throw invalidBundle(file, reader.problems.join('; '));
  }
  return settings;
}

/** Collects problems, so that one error can list them all. */
class SettingsReader {
  readonly problems: string[] = [];
  readonly #root: JsonObject;
  readonly #architecture: JsonObject;

  constructor(json: JsonValue) {
    this.#root = this.#object(json, 'the file') ?? EMPTY;
    const training = this.#root.get('train_config');
    const architecture = training === undefined ? undefined : this.#object(training, 'train_config')?.get('model_arch');
    this.#architecture =
      (architecture === undefined ? undefined : this.#object(architecture, 'train_config.model_arch')) ?? EMPTY;
  }

  channels(key: string, isAllowed: (value: number) => boolean, expected: string): number[] {
    const value = this.#root.get(key);
    const numbers = Array.isArray(value) ? value.filter((item) => typeof item === 'number' && Number.isFinite(item)) : [];
    // In float32, as the graph has them: 1e-60 is 0 there.
    const rounded = numbers.map((item) => Math.fround(Number(item)));
    if (
      !Array.isArray(value) ||
      value.length !== CHANNELS ||
      rounded.length !== CHANNELS ||
      !rounded.every((item) => Number.isFinite(item) && isAllowed(item))
    ) {
      this.problems.push(`${key}: expected ${CHANNELS} ${expected}, found ${describe(value)}`);
    }
    return rounded;
  }

  integer(key: string, fallback: number, min: number, max: number): number {
    const value = this.#architecture.get(key) ?? fallback;
    if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
      const range = min === max ? `${min}` : `a whole number from ${min} to ${max}`;
      this.problems.push(`model_arch.${key}: expected ${range}, found ${describe(value)}`);
      return fallback;
    }
    return value;
  }

  positive(key: string, fallback: number): number {
    const value = this.#architecture.get(key) ?? fallback;
    if (typeof value !== 'number' || !(value > 0 && Number.isFinite(value))) {
      this.problems.push(`model_arch.${key}: expected a number above 0, found ${describe(value)}`);
      return fallback;
    }
    return value;
  }

  boolean(key: string, fallback: boolean): boolean {
    const value = this.#architecture.get(key) ?? fallback;
    if (typeof value !== 'boolean') {
      this.problems.push(`model_arch.${key}: expected true or false, found ${describe(value)}`);
      return fallback;
    }
    return value;
  }

  #object(value: JsonValue, what: string): JsonObject | undefined {
    if (value instanceof JsonObject) {
      return value;
    }
    this.problems.push(`${what}: expected an object, found ${describe(value)}`);
    return undefined;
  }
}

const EMPTY = new JsonObject([]);

function describe(value: JsonValue | undefined): string {
  if (value === undefined) {
    return 'nothing';
  }
  if (value instanceof JsonObject) {
    return 'an object';
  }
  if (Array.isArray(value)) {
    return `a list of ${value.length}`;
  }
  return typeof value === 'string' ? quote(value, 40) : `${typeof value === 'object' ? 'null' : value}`;
}
