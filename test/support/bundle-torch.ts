import { op, pickleOf } from './bundle-pickle.ts';
import { type TestZipEntry, writeZip } from './bundle-zip.ts';

export interface TestTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: ArrayLike<number>;
  readonly storage?: StorageName;
  /** Elements, in C order unless given. */
  readonly stride?: readonly number[];
  readonly offset?: number;
  readonly isParameter?: boolean;
}

export type StorageName = 'Float' | 'Double' | 'Half' | 'BFloat16' | 'Long' | 'Int' | 'Byte' | 'Bool';

/** How a version of PyTorch writes; the defaults are those of 1.13 on a CPU. */
export interface TorchWriter {
  readonly prefix?: string;
  readonly byteOrder?: string;
  readonly location?: string;
  readonly extraEntries?: readonly string[];
  /** Layers noted as spectrally normalised in `_metadata`, and the version. */
  readonly normalised?: readonly string[];
  readonly normVersion?: number;
  readonly hasMetadata?: boolean;
  readonly isZip64?: boolean;
  readonly hasChecksums?: boolean;
  /** Put into the state dict after the tensors: name and value, as opcodes. */
  readonly extraItems?: readonly Buffer[];
}

/** What PyTorch 2.x adds around the storages. */
export const TORCH_2: TorchWriter = {
  byteOrder: 'little',
  location: 'cuda:0',
  extraEntries: ['.format_version', '.storage_alignment', '.data/serialization_id'],
};

/** A `.pth` whose top level is a state dict of these tensors. */
export function writePth(tensors: readonly TestTensor[], writer: TorchWriter = {}): Buffer {
  const items = tensors.flatMap((tensor, index) => [op.text(tensor.name), tensorOf(tensor, index, writer.location ?? 'cpu')]);
  const dict = Buffer.concat([
    emptyOrderedDict(),
    op.mark,
    ...items,
    ...(writer.extraItems ?? []),
    op.setItems,
    metadata(writer),
  ]);
  return writePthAround(pickleOf(dict), tensors, writer);
}

/** A `.pth` with this pickle. */
export function writePthAround(pickle: Uint8Array, tensors: readonly TestTensor[], writer: TorchWriter = {}): Buffer {
  const prefix = writer.prefix ?? 'model';
  const entry = (name: string, bytes: Uint8Array): TestZipEntry => ({
    name: `${prefix}/${name}`,
    bytes,
    alignment: 64,
    ...(writer.hasChecksums === false ? { crc: 0 } : {}),
  });
  return writeZip(
    [
      entry('data.pkl', pickle),
      ...(writer.extraEntries ?? []).map((name) => entry(name, Buffer.from('1'))),
      ...(writer.byteOrder === undefined ? [] : [entry('byteorder', Buffer.from(writer.byteOrder))]),
      ...tensors.map((tensor, index) => entry(`data/${index}`, encodeElements(tensor.data, tensor.storage ?? 'Float'))),
      entry('version', Buffer.from('3\n')),
    ],
    writer.isZip64 ?? false,
  );
}

/** The opcodes that make one tensor of storage `key`. */
export function tensorOf(
  tensor: Omit<TestTensor, 'data'> & { readonly data: { readonly length: number } },
  key: number | string,
  location = 'cpu',
): Buffer {
  const { shape, storage = 'Float', offset = 0 } = tensor;
  const stride = tensor.stride ?? shape.map((_, axis) => shape.slice(axis + 1).reduce((product, size) => product * size, 1));
  const id = op.tupleOf(
    op.text('storage'),
    op.global('torch', `${storage}Storage`),
    op.text(String(key)),
    op.text(location),
    op.int(tensor.data.length),
  );
  const args = [
    Buffer.concat([id, op.persist]),
    op.int(offset),
    op.tupleOf(...shape.map(op.int)),
    op.tupleOf(...stride.map(op.int)),
    op.false,
    emptyOrderedDict(),
  ];
  const rebuilt = Buffer.concat([op.global('torch._utils', '_rebuild_tensor_v2'), op.tupleOf(...args), op.reduce]);
  return tensor.isParameter === true
    ? Buffer.concat([
        op.global('torch._utils', '_rebuild_parameter'),
        op.tupleOf(rebuilt, op.false, emptyOrderedDict()),
        op.reduce,
      ])
    : rebuilt;
}

export function emptyOrderedDict(): Buffer {
  return Buffer.concat([op.global('collections', 'OrderedDict'), op.emptyTuple, op.reduce]);
}

function metadata({ normalised = [], normVersion = 1, hasMetadata = true }: TorchWriter): Buffer {
  if (!hasMetadata) {
    return Buffer.alloc(0);
  }
  const version = Buffer.concat([op.emptyDict, op.mark, op.text('weight.version'), op.int(normVersion), op.setItems]);
  const modules = normalised.flatMap((name) => [
    op.text(name),
    Buffer.concat([op.emptyDict, op.mark, op.text('version'), op.int(1), op.text('spectral_norm'), version, op.setItems]),
  ]);
  const all = Buffer.concat([emptyOrderedDict(), op.mark, ...modules, op.setItems]);
  return Buffer.concat([op.emptyDict, op.mark, op.text('_metadata'), all, op.setItems, op.build]);
}

export function encodeElements(data: ArrayLike<number>, storage: StorageName): Buffer {
  if (storage === 'Float' && data instanceof Float32Array) {
    return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  }
  const size = { Float: 4, Double: 8, Half: 2, BFloat16: 2, Long: 8, Int: 4, Byte: 1, Bool: 1 }[storage];
  const bytes = Buffer.alloc(data.length * size);
  Array.from(data).forEach((value, index) => {
    const at = index * size;
    switch (storage) {
      case 'Float':
        return bytes.writeFloatLE(value, at);
      case 'Double':
        return bytes.writeDoubleLE(value, at);
      case 'Half':
        return bytes.writeUInt16LE(toHalf(value), at);
      case 'BFloat16':
        return bytes.writeUInt16LE(upperHalf(value), at);
      case 'Long':
        return bytes.writeBigInt64LE(BigInt(value), at);
      case 'Int':
        return bytes.writeInt32LE(value, at);
      default:
        return bytes.writeUInt8(value, at);
    }
  });
  return bytes;
}

function upperHalf(value: number): number {
  return (new Uint32Array(Float32Array.of(value).buffer)[0] ?? 0) >>> 16;
}

/** Exact for values that have a binary16 form; tests use no others. */
function toHalf(value: number): number {
  const sign = value < 0 ? 0x8000 : 0;
  const size = Math.abs(value);
  if (size < 2 ** -14) {
    return sign | Math.round(size * 2 ** 24);
  }
  const exponent = Math.floor(Math.log2(size));
  return sign | ((exponent + 15) << 10) | Math.round((size / 2 ** exponent - 1) * 1024);
}
