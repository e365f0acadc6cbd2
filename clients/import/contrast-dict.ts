import { invalidBundle, quote } from './bundle-error.ts';
import { JsonObject, type JsonValue, parseLooseJson } from './loose-json.ts';

/** One class of a GMM, in contrast space. */
export interface ContrastClass {
  /** The key: the number of layers. */
  readonly index: number;
  /** Mean contrast, B G R. */
  readonly mean: Float64Array;
  /** 3 x 3 in C order, rows and columns B G R. */
  readonly covariance: Float64Array;
}

const CHANNELS = ['b', 'g', 'r'] as const;
/** Classes are answered as bytes. */
const MAX_INDEX = 255;

/**
 * Reads `contrast_dict.json`: one Gaussian a key, in the order of the file; the background, key "0", is skipped.
 * @throws INVALID_BUNDLE listing every key that is not a whole number from 0 to 255 or occurs twice, and every malformed entry.
 */
export function parseContrastDict(bytes: Uint8Array, file: string): ContrastClass[] {
  const json = parseLooseJson(bytes, file);
  if (!(json instanceof JsonObject)) {
    throw invalidBundle(file, 'expected an object with one entry a class');
  }
  const classes: ContrastClass[] = [];
  const seen = new Set<string>();
  const problems: string[] = [];
  for (const [key, value] of json.entries) {
    if (!/^(?:0|[1-9]\d{0,2})$/.test(key) || Number(key) > MAX_INDEX) {
      problems.push(`${quote(key, 40)}: expected a number of layers from 0 to ${MAX_INDEX} as key`);
    } else if (seen.has(key)) {
      problems.push(`${quote(key)}: occurs twice`);
    } else if (key !== '0') {
      const read = readClass(Number(key), value);
      if (typeof read === 'string') {
        problems.push(`${quote(key)}: ${read}`);
      } else {
        classes.push(read);
      }
    }
    seen.add(key);
  }
  if (classes.length === 0 && problems.length === 0) {
    problems.push('no class besides the background');
  }
  if (problems.length > 0) {
    throw invalidBundle(file, problems.slice(0, 20).join('; '));
  }
  return classes;
}

/** The class, or what is wrong with it. */
function readClass(index: number, value: JsonValue): ContrastClass | string {
  const contrast = value instanceof JsonObject ? value.get('contrast') : undefined;
  const rows = value instanceof JsonObject ? value.get('covariance_matrix') : undefined;
  const mean = contrast instanceof JsonObject ? CHANNELS.map((channel) => contrast.get(channel)).filter(isFiniteNumber) : [];
  if (mean.length !== CHANNELS.length) {
    return 'expected contrast {b, g, r} of three finite numbers';
  }
  const isSquare = Array.isArray(rows) && rows.length === 3 && rows.every((row) => Array.isArray(row) && row.length === 3);
  const covariance = isSquare ? rows.flatMap((row: JsonValue) => (Array.isArray(row) ? row : [])).filter(isFiniteNumber) : [];
  if (covariance.length !== 9) {
    return 'expected covariance_matrix of 3 rows of 3 finite numbers';
  }
  return { index, mean: Float64Array.from(mean), covariance: Float64Array.from(covariance) };
}

function isFiniteNumber(value: JsonValue | undefined): value is number {
  return typeof value === 'number' && Number.isFinite(value);
}
