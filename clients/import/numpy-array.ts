import { quote, unsupportedModel } from './bundle-error.ts';
import type { PickleReader } from './pickle-reader.ts';
import { calleeName, describeValue, isNode, type PickleValue } from './pickle-value.ts';

/** An array as its bytes lie in a file. */
export interface NumpyArray {
  readonly type: ArrayType;
  readonly shape: readonly number[];
  readonly isFortranOrder: boolean;
  readonly bytes: Uint8Array;
}

/** An element type by NumPy's letter for its kind: `f` float, `i` int, `u` unsigned, `b` bool, others. */
export interface ArrayType {
  readonly kind: string;
  readonly elementBytes: number;
  readonly isBigEndian: boolean;
}

const MAX_RANK = 32;
/** One character of NumPy's fixed-width text is a code point. */
const CHARACTER_BYTES = 4;

/**
 * The element type that `numpy.dtype('f8', False, True)` with the state `(3, '<', ...)` stands for.
 * @throws UNSUPPORTED_MODEL for types whose elements are not of a stated size, Python objects among them.
 */
export function arrayTypeOf(value: PickleValue | undefined, file: string): ArrayType {
  const [code] = isNode(value) && value.kind === 'call' && calleeName(value) === 'numpy.dtype' ? value.args : [];
  const match = typeof code === 'string' ? /^([biufcSUVmM])(\d{1,6})$/.exec(code) : null;
  const [, kind, size] = match ?? [];
  if (kind === undefined || size === undefined) {
    const found = typeof code === 'string' ? quote(code, 40) : describeValue(value);
    throw unsupportedModel(file, `holds an array of element type ${found}, expected plain numbers`);
  }
  const state =
    isNode(value) && value.kind === 'call' && isNode(value.state) && value.state.kind === 'tuple' ? value.state.items : [];
  return { kind, elementBytes: Number(size) * (kind === 'U' ? CHARACTER_BYTES : 1), isBigEndian: state[1] === '>' };
}

/** Takes the bytes of an array of this type and shape off the input; fails before anything is allocated for what is not there. */
export function spliceBytes(
  type: ArrayType,
  shapeValue: PickleValue | undefined,
  isFortranOrder: boolean,
  input: PickleReader,
): NumpyArray {
  const items = isNode(shapeValue) && shapeValue.kind === 'tuple' ? shapeValue.items : undefined;
  const shape = items?.filter((size) => typeof size === 'number' && Number.isSafeInteger(size) && size >= 0).map(Number);
  if (items === undefined || shape?.length !== items.length || shape.length > MAX_RANK) {
    throw input.fail('describes an array whose shape is not a tuple of sizes');
  }
  const lengthBytes = shape.reduce((product, size) => product * size, type.elementBytes);
  return { type, shape, isFortranOrder, bytes: input.slice(lengthBytes) };
}

/**
 * The elements of an array of at most one axis longer than 1, where both orders are the same. Integers beyond 2^53 are rounded.
 * @returns undefined for other arrays, and for elements that are no numbers
 */
export function numbersOf({ type, shape, bytes }: NumpyArray): number[] | undefined {
  const read = READERS[`${type.kind}${type.elementBytes}`];
  if (read === undefined || shape.filter((size) => size !== 1).length > 1) {
    return undefined;
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const count = bytes.byteLength / type.elementBytes;
  return Array.from({ length: count }, (_, index) => read(view, index * type.elementBytes, !type.isBigEndian));
}

type Read = (view: DataView, at: number, isLittleEndian: boolean) => number;

const READERS: Readonly<Partial<Record<string, Read>>> = {
  f8: (view, at, isLittleEndian) => view.getFloat64(at, isLittleEndian),
  f4: (view, at, isLittleEndian) => view.getFloat32(at, isLittleEndian),
  i8: (view, at, isLittleEndian) => Number(view.getBigInt64(at, isLittleEndian)),
  i4: (view, at, isLittleEndian) => view.getInt32(at, isLittleEndian),
  i2: (view, at, isLittleEndian) => view.getInt16(at, isLittleEndian),
  i1: (view, at) => view.getInt8(at),
  u1: (view, at) => view.getUint8(at),
  b1: (view, at) => view.getUint8(at),
};
