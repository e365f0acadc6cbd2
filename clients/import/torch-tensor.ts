import { invalidBundle, quote } from './bundle-error.ts';
import { calleeName, describeValue, isNode, type PickleValue } from './pickle-value.ts';

/** Element types by the storage class that a pickle names. */
const STORAGE_TYPES = new Map<string, ElementKind>([
  ['torch.FloatStorage', 'float32'],
  ['torch.DoubleStorage', 'float64'],
  ['torch.HalfStorage', 'float16'],
  ['torch.BFloat16Storage', 'bfloat16'],
  ['torch.LongStorage', 'int64'],
  ['torch.IntStorage', 'int32'],
  ['torch.ByteStorage', 'uint8'],
  ['torch.BoolStorage', 'bool'],
]);

export type ElementKind = 'float32' | 'float64' | 'float16' | 'bfloat16' | 'int64' | 'int32' | 'uint8' | 'bool';

export const ELEMENT_BYTES: Readonly<Record<ElementKind, number>> = {
  float32: 4,
  float64: 8,
  float16: 2,
  bfloat16: 2,
  int64: 8,
  int32: 4,
  uint8: 1,
  bool: 1,
};

/** A tensor as its pickle describes it: a view of a storage. Counts are of elements. */
export interface TensorRef {
  readonly storageKey: string;
  readonly element: ElementKind;
  readonly storageElements: number;
  readonly offset: number;
  readonly shape: readonly number[];
  readonly stride: readonly number[];
}

const MAX_RANK = 16;

/**
 * The tensor that `value` describes: `_rebuild_tensor_v2`, also inside `_rebuild_parameter`; every element lies in its storage.
 * @throws INVALID_BUNDLE naming the tensor and, where something else stands in its place, the global that would make it.
 */
export function tensorRefOf(value: PickleValue, name: string, file: string): TensorRef {
  const fail = (problem: string): Error => invalidBundle(file, `${quote(name)}: ${problem}`);
  const tensor = calleeName(value) === 'torch._utils._rebuild_parameter' ? argumentsOf(value)[0] : value;
  if (calleeName(tensor) !== 'torch._utils._rebuild_tensor_v2') {
    throw fail(`expected a tensor, found ${describeValue(tensor)}`);
  }
  const [storage, offset, size, stride] = argumentsOf(tensor);
  const shape = countsOf(size);
  const strides = countsOf(stride);
  if (!isCount(offset) || shape === undefined || strides?.length !== shape.length || shape.length > MAX_RANK) {
    throw fail('its offset, size and stride are not whole numbers from 0 that agree');
  }
  const ref: TensorRef = { ...storageOf(storage, fail), offset, shape, stride: strides };
  if (lastElement(ref) >= ref.storageElements) {
    throw fail(
      `shape (${shape.join(', ')}) with stride (${strides.join(', ')}) at ${offset} leaves its storage of ${ref.storageElements}`,
    );
  }
  return ref;
}

/** A persistent id is `('storage', <class>, '<key>', '<location>', <elements>)`; the location, `cpu` or `cuda:0`, means nothing here. */
function storageOf(
  value: PickleValue | undefined,
  fail: (problem: string) => Error,
): Pick<TensorRef, 'storageKey' | 'element' | 'storageElements'> {
  const id = isNode(value) && value.kind === 'persistent' && isNode(value.id) && value.id.kind === 'tuple' ? value.id.items : [];
  const [tag, type, storageKey, , storageElements] = id;
  if (tag !== 'storage' || typeof storageKey !== 'string' || !/^\d{1,10}$/.test(storageKey) || !isCount(storageElements)) {
    throw fail(`expected a reference to a storage, found ${describeValue(value)}`);
  }
  const typeName = isNode(type) && type.kind === 'global' ? type.name : undefined;
  const element = typeName === undefined ? undefined : STORAGE_TYPES.get(typeName);
  if (element === undefined) {
    throw fail(`its storage has an unknown type, ${describeValue(type)}`);
  }
  return { storageKey, element, storageElements };
}

function argumentsOf(value: PickleValue | undefined): readonly PickleValue[] {
  return isNode(value) && value.kind === 'call' ? value.args : [];
}

function countsOf(value: PickleValue | undefined): number[] | undefined {
  return isNode(value) && value.kind === 'tuple' && value.items.every(isCount) ? value.items.filter(isCount) : undefined;
}

function isCount(value: PickleValue | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

/** Index in its storage of the tensor's last element, or -1 of an empty tensor. */
export function lastElement({ offset, shape, stride }: TensorRef): number {
  return shape.includes(0) ? -1 : shape.reduce((last, size, axis) => last + (size - 1) * (stride[axis] ?? 0), offset);
}

/**
 * The tensor's elements in C order as float32, which is what PyTorch makes of them when it loads them into a float32 model.
 * `bytes` are those of the storage's elements from `ref.offset` to the last one; what is given may be a view of them.
 */
export function toFloat32(ref: TensorRef, bytes: Uint8Array): Float32Array {
  if (ref.element === 'float32' && IS_LITTLE_ENDIAN && isContiguous(ref)) {
    // In place where they may begin there: the largest tensors have 9 MB.
    const aligned = bytes.byteOffset % 4 === 0 ? bytes : Uint8Array.from(bytes);
    return new Float32Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / 4);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const read = ELEMENT_READERS[ref.element];
  const elementBytes = ELEMENT_BYTES[ref.element];
  const result = new Float32Array(ref.shape.reduce((product, size) => product * size, 1));
  const index = ref.shape.map(() => 0);
  let from = 0;
  for (let at = 0; at < result.length; at += 1) {
    result[at] = read(view, from * elementBytes);
    for (let axis = index.length - 1; axis >= 0; axis -= 1) {
      const stride = ref.stride[axis] ?? 0;
      const next = (index[axis] ?? 0) + 1;
      if (next < (ref.shape[axis] ?? 0)) {
        index[axis] = next;
        from += stride;
        break;
      }
      index[axis] = 0;
      from -= (next - 1) * stride;
    }
  }
  return result;
}

const IS_LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** Whether the elements lie in C order without gaps, as those of weights do: millions of them need not be looked at one by one. */
function isContiguous({ shape, stride }: TensorRef): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
    const size = shape[axis] ?? 0;
    if (size !== 1 && stride[axis] !== expected) {
      return false;
    }
    expected *= size;
  }
  return true;
}

const ELEMENT_READERS: Readonly<Record<ElementKind, (view: DataView, at: number) => number>> = {
  float32: (view, at) => view.getFloat32(at, true),
  float64: (view, at) => view.getFloat64(at, true),
  float16: (view, at) => halfToNumber(view.getUint16(at, true)),
  bfloat16: (view, at) => bfloat16ToNumber(view.getUint16(at, true)),
  int64: (view, at) => Number(view.getBigInt64(at, true)),
  int32: (view, at) => view.getInt32(at, true),
  uint8: (view, at) => view.getUint8(at),
  bool: (view, at) => (view.getUint8(at) === 0 ? 0 : 1),
};

/** IEEE 754 binary16. */
function halfToNumber(bits: number): number {
  const sign = bits >= 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) {
    return sign * fraction * 2 ** -24;
  }
  if (exponent === 0x1f) {
    return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  }
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** The upper half of a binary32. */
function bfloat16ToNumber(bits: number): number {
  return new Float32Array(new Uint32Array([bits * 0x10000]).buffer)[0] ?? 0;
}
