import { invalidBundle, quote, unsupportedModel } from './bundle-error.ts';

/** A NumPy array, its elements in C order. */
export interface NpyArray {
  readonly shape: readonly number[];
  /** The stored values; `<f4` values are exact in double precision. */
  readonly data: Float64Array;
}

const MAGIC = '\u0093NUMPY';
/** NumPy itself refuses longer headers of files that are not trusted. */
const MAX_HEADER_BYTES = 10_000;
/** NumPy's own limit on the number of axes. */
const MAX_RANK = 32;

/**
 * Reads a `.npy` file of format 1.0, 2.0 or 3.0 that holds float32 or float64, little-endian, in C or Fortran order.
 * Nothing is allocated before the header agrees with the number of bytes that follow it.
 * Format: numpy.org/doc/stable/reference/generated/numpy.lib.format.html.
 * @throws INVALID_BUNDLE naming `file`; UNSUPPORTED_MODEL for other element types, object arrays (pickles) among them.
 */
export function parseNpy(bytes: Uint8Array, file: string): NpyArray {
  const { text, dataAt } = readHeader(bytes, file);
  const header = parseHeader(text, file);
  const elementBytes = elementBytesOf(header.descr, file);
  const count = header.shape.reduce((product, size) => product * size, 1);
  const found = bytes.byteLength - dataAt;
  if (count * elementBytes !== found) {
    const shape = `(${header.shape.join(', ')})`;
    throw invalidBundle(
      file,
      `shape ${shape} of ${quote(header.descr)} needs ${count * elementBytes} bytes, ${found} follow the header`,
    );
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset + dataAt, found);
  const stored = new Float64Array(count);
  for (let index = 0; index < count; index += 1) {
    stored[index] = elementBytes === 4 ? view.getFloat32(index * 4, true) : view.getFloat64(index * 8, true);
  }
  return { shape: header.shape, data: header.isFortranOrder ? toCOrder(stored, header.shape) : stored };
}

function readHeader(bytes: Uint8Array, file: string): { text: string; dataAt: number } {
  const latin1 = (from: number, to: number): string => Buffer.from(bytes.subarray(from, to)).toString('latin1');
  const major = bytes[6] ?? 0;
  if (bytes.byteLength < 12 || latin1(0, 6) !== MAGIC) {
    throw invalidBundle(file, 'not a NumPy array file: its first bytes are others');
  }
  if (major < 1 || major > 3 || bytes[7] !== 0) {
    throw unsupportedModel(file, `NumPy format ${major}.${bytes[7] ?? 0}, expected 1.0, 2.0 or 3.0`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerAt = major === 1 ? 10 : 12;
  const headerBytes = major === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (headerBytes > MAX_HEADER_BYTES || headerAt + headerBytes > bytes.byteLength) {
    throw invalidBundle(file, `declares a header of ${headerBytes} bytes, the file has ${bytes.byteLength}`);
  }
  return { text: latin1(headerAt, headerAt + headerBytes), dataAt: headerAt + headerBytes };
}

interface Header {
  readonly descr: string;
  readonly isFortranOrder: boolean;
  readonly shape: readonly number[];
}

const ENTRY = /\s*(?:'([^']*)'|"([^"]*)")\s*:\s*(?:'([^']*)'|"([^"]*)"|(True|False)|\(([\d\sL,]*)\))\s*(?:,|(?=\}))/y;

/** The header is a Python dict literal of three entries, such as `{'descr': '<f4', 'fortran_order': False, 'shape': (5, 16), }`. */
function parseHeader(text: string, file: string): Header {
  const fail = (): Error => invalidBundle(file, `the header is not one of a plain array: ${quote(text.trim())}`);
  let at = text.search(/\S/);
  if (text[at] !== '{') {
    throw fail();
  }
  at += 1;
  let descr: string | undefined;
  let isFortranOrder: boolean | undefined;
  let shape: number[] | undefined;
  while (!/^\s*\}\s*$/.test(text.slice(at))) {
    ENTRY.lastIndex = at;
    const match = ENTRY.exec(text);
    if (match === null) {
      throw fail();
    }
    const [entry, single, double, singleText, doubleText, truth, tuple] = match;
    const key = single ?? double;
    if (key === 'descr') {
      descr = singleText ?? doubleText;
    } else if (key === 'fortran_order' && truth !== undefined) {
      isFortranOrder = truth === 'True';
    } else if (key === 'shape' && tuple !== undefined) {
      shape = parseShape(tuple);
    }
    at += entry.length;
  }
  if (descr === undefined || isFortranOrder === undefined || shape === undefined) {
    throw fail();
  }
  return { descr, isFortranOrder, shape };
}

/** The inside of a tuple: `5, 16`, `5,` or nothing; Python 2 wrote `5L`. */
function parseShape(text: string): number[] | undefined {
  const parts = text.split(',').map((part) => part.trim());
  if (parts.at(-1) === '') {
    parts.pop();
  }
  const sizes = parts.map((part) => (/^\d+L?$/.test(part) ? Number.parseInt(part, 10) : Number.NaN));
  const count = sizes.reduce((product, size) => product * size, 1);
  return sizes.length <= MAX_RANK && sizes.every(Number.isSafeInteger) && Number.isSafeInteger(count * 8) ? sizes : undefined;
}

/** NumPy writes `<f4`; `=f4` and `f4` mean the byte order of the machine, little-endian on all that run MaskTerial. */
function elementBytesOf(descr: string, file: string): 4 | 8 {
  const match = /^[<=]?f([48])$/.exec(descr);
  if (match === null) {
    throw unsupportedModel(file, `elements of type ${quote(descr)}, expected "<f4" or "<f8"`);
  }
  return match[1] === '4' ? 4 : 8;
}

function toCOrder(stored: Float64Array, shape: readonly number[]): Float64Array {
  const result = new Float64Array(stored.length);
  const index = shape.map(() => 0);
  for (let at = 0; at < stored.length; at += 1) {
    let from = 0;
    for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
      from = from * (shape[axis] ?? 0) + (index[axis] ?? 0);
    }
    result[at] = stored[from] ?? 0;
    advance(index, shape);
  }
  return result;
}

/** The next index in C order. */
function advance(index: number[], shape: readonly number[]): void {
  for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
    const next = (index[axis] ?? 0) + 1;
    index[axis] = next < (shape[axis] ?? 0) ? next : 0;
    if (next < (shape[axis] ?? 0)) {
      return;
    }
  }
}
