import { AttributeProto, AttributeProto_AttributeType, TensorProto_DataType, ValueInfoProto } from '../../proto/gen/onnx/onnx.ts';

/** Element types that the importers use; `bool` and `float16` never leave a graph. */
export type ElementType = 'float32' | 'float64' | 'uint8' | 'int64';

/** A number of elements, or the name of a dimension that the caller of the graph chooses. */
export type Dimension = number | string;

/** Attribute values by ONNX attribute type: `{ int: 1 }`, `{ float: 0.5 }`, `{ text: 'linear' }`, `{ ints: [0, 2, 1] }`. */
export type AttributeValue =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly text: string }
  | { readonly ints: readonly number[] };

export type Attributes = Readonly<Record<string, AttributeValue>>;

export type ConstantData = Float32Array | Float64Array | Uint8Array | BigInt64Array;

export const ELEMENT_TYPES = {
  float32: TensorProto_DataType.FLOAT,
  float64: TensorProto_DataType.DOUBLE,
  uint8: TensorProto_DataType.UINT8,
  int64: TensorProto_DataType.INT64,
} as const satisfies Record<ElementType, number>;

export function elementTypeOf(data: ConstantData): number {
  if (data instanceof Float32Array) {
    return ELEMENT_TYPES.float32;
  }
  if (data instanceof Float64Array) {
    return ELEMENT_TYPES.float64;
  }
  return data instanceof Uint8Array ? ELEMENT_TYPES.uint8 : ELEMENT_TYPES.int64;
}

/** ONNX stores raw data little-endian whatever the machine. */
export function littleEndian(data: ConstantData): Buffer {
  const bytes = Buffer.alloc(data.byteLength);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (data instanceof Float32Array) {
    data.forEach((value, index) => view.setFloat32(index * 4, value, true));
  } else if (data instanceof Float64Array) {
    data.forEach((value, index) => view.setFloat64(index * 8, value, true));
  } else if (data instanceof BigInt64Array) {
    data.forEach((value, index) => view.setBigInt64(index * 8, value, true));
  } else {
    bytes.set(data);
  }
  return bytes;
}

export function attribute(name: string, value: AttributeValue): AttributeProto {
  if ('int' in value) {
    return AttributeProto.fromPartial({ name, type: AttributeProto_AttributeType.INT, i: BigInt(value.int) });
  }
  if ('float' in value) {
    return AttributeProto.fromPartial({ name, type: AttributeProto_AttributeType.FLOAT, f: value.float });
  }
  if ('text' in value) {
    return AttributeProto.fromPartial({ name, type: AttributeProto_AttributeType.STRING, s: Buffer.from(value.text) });
  }
  return AttributeProto.fromPartial({ name, type: AttributeProto_AttributeType.INTS, ints: value.ints.map(BigInt) });
}

export function valueInfo(name: string, type: ElementType, shape: readonly Dimension[]): ValueInfoProto {
  const dim = shape.map((size) => ({
    value:
      typeof size === 'number'
        ? { $case: 'dimValue' as const, value: BigInt(size) }
        : { $case: 'dimParam' as const, value: size },
  }));
  return ValueInfoProto.fromPartial({
    name,
    type: { value: { $case: 'tensorType', value: { elemType: ELEMENT_TYPES[type], shape: { dim } } } },
  });
}
