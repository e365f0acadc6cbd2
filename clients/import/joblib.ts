import { unsupportedModel } from './bundle-error.ts';
import { arrayTypeOf, type NumpyArray, spliceBytes } from './numpy-array.ts';
import { parsePickle } from './pickle.ts';
import type { PickleReader } from './pickle-reader.ts';
import { calleeName, isNode, mappingGet, type PickleCall, type PickleValue } from './pickle-value.ts';

/** A joblib dump as inert values, with the arrays that lie between them. */
export interface JoblibDump {
  readonly root: PickleValue;
  /** The array that a value stands for, if it stands for one. */
  arrayOf(value: PickleValue | undefined): NumpyArray | undefined;
}

/** What joblib and NumPy themselves put into a dump; older scikit-learn brought a joblib of its own. */
const WRAPPERS = ['joblib.numpy_pickle.NumpyArrayWrapper', 'sklearn.externals.joblib.numpy_pickle.NumpyArrayWrapper'];
const OWN_GLOBALS = [
  ...WRAPPERS,
  'numpy.ndarray',
  'numpy.dtype',
  'numpy.core.multiarray.scalar',
  'numpy._core.multiarray.scalar',
];

const COMPRESSIONS: readonly (readonly [name: string, firstBytes: readonly number[]])[] = [
  ['zlib', [0x78]],
  ['gzip', [0x1f, 0x8b]],
  ['bz2', [0x42, 0x5a]],
  ['xz', [0xfd, 0x37, 0x7a]],
  ['lzma', [0x5d, 0x00]],
  ['lz4', [0x04, 0x22, 0x4d, 0x18]],
  ["joblib's own zlib format of before 0.10", [0x5a, 0x46]],
];

/**
 * Reads what `joblib.dump` wrote: a pickle in which the bytes of each array follow, outside of any frame, the object that describes
 * it. Nothing is executed, and beside those of joblib and NumPy no globals but `globals` may be named at all.
 * @throws INVALID_BUNDLE naming `file`; UNSUPPORTED_MODEL for a compressed dump and for arrays of Python objects.
 */
export function parseJoblib(bytes: Uint8Array, file: string, globals: readonly string[]): JoblibDump {
  const compression = COMPRESSIONS.find(([, first]) => first.every((byte, index) => bytes[index] === byte));
  if (compression !== undefined) {
    throw unsupportedModel(file, `compressed with ${compression[0]}: save it again with joblib.dump(..., compress=0)`);
  }
  const arrays = new Map<PickleCall, NumpyArray>();
  const onBuilt = (target: PickleCall, input: PickleReader): void => {
    const name = calleeName(target);
    if (name !== undefined && WRAPPERS.includes(name)) {
      arrays.set(target, readArray(target, input, file));
    }
  };
  const root = parsePickle(bytes, file, { globals: new Set([...OWN_GLOBALS, ...globals]), onBuilt });
  return { root, arrayOf: (value) => (isNode(value) && value.kind === 'call' ? arrays.get(value) : undefined) };
}

/** The bytes of C or Fortran order after the wrapper: where it names an alignment, behind a count of padding bytes and these. */
function readArray({ state }: PickleCall, input: PickleReader, file: string): NumpyArray {
  const type = arrayTypeOf(mappingGet(state, 'dtype'), file);
  const order = mappingGet(state, 'order');
  const alignment = mappingGet(state, 'numpy_array_alignment_bytes') ?? null;
  if (order !== 'C' && order !== 'F') {
    throw input.fail('describes an array that is neither in C nor in Fortran order');
  }
  if (alignment !== null && !(typeof alignment === 'number' && alignment > 0)) {
    throw input.fail('describes an array whose alignment is not a number of bytes');
  }
  if (alignment !== null) {
    input.slice(input.uint8());
  }
  return spliceBytes(type, mappingGet(state, 'shape'), order === 'F', input);
}
