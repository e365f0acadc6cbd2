import { op } from './bundle-pickle.ts';

/** How a version of joblib and NumPy writes; the defaults are those of the published file. */
export interface JoblibWriter {
  readonly modelModule?: string;
  readonly wrapperModule?: string;
  /** Undefined: as written before joblib 1.2, without the key and without padding. */
  readonly alignment?: number | undefined;
  readonly classType?: 'i4' | 'i8' | 'u1' | 'b1' | 'f8';
  readonly floatType?: 'f4' | 'f8';
  readonly byteOrder?: '<' | '>';
  readonly order?: 'C' | 'F';
  readonly protocol?: 2 | 4 | 5;
  /** Names of the state that are written before all others, with opcodes for their values. */
  readonly extra?: Readonly<Record<string, Buffer>>;
  /** In place of the stated shapes, by name. */
  readonly shapes?: Readonly<Record<string, readonly number[]>>;
  /** In place of the type that an array's bytes have, by name. */
  readonly types?: Readonly<Record<string, string>>;
  readonly without?: readonly string[];
}

export interface L2Model {
  readonly classes: readonly number[];
  readonly coefficients: readonly number[];
  readonly intercept: number;
}

/** Those of 2DMatGMM, whose check values are published. */
export const PUBLISHED_L2: L2Model = {
  classes: [0, 1],
  coefficients: [-0.6023313994658692, 3.407656207829059],
  intercept: 2.960335491687551,
};

const STATE: Readonly<Record<string, Buffer>> = {
  penalty: op.text('l2'),
  tol: op.int(1),
  class_weight: op.text('balanced'),
  random_state: op.none,
  multi_class: op.text('auto'),
  n_features_in_: op.int(2),
};

/** `joblib.dump` of a fitted LogisticRegression. */
export function writeJoblib(model: L2Model, writer: JoblibWriter = {}): Buffer {
  const { protocol = 4, modelModule = 'sklearn.linear_model._logistic', classType = 'i4', floatType = 'f8' } = writer;
  const file = new JoblibFile(writer);
  file.add(op.proto(protocol), protocol === 2 ? Buffer.alloc(0) : frame);
  file.add(op.global(modelModule, 'LogisticRegression'), op.emptyTuple, NEWOBJ, op.emptyDict, op.mark);
  for (const [name, value] of Object.entries({ ...STATE, ...writer.extra })) {
    file.add(op.text(name), value);
  }
  const arrays = [
    { name: 'classes_', type: classType, shape: [2], values: model.classes },
    { name: 'n_iter_', type: 'i4', shape: [1], values: [57] },
    { name: 'coef_', type: floatType, shape: [1, 2], values: model.coefficients },
    { name: 'intercept_', type: floatType, shape: [1], values: [model.intercept] },
  ];
  for (const { name, type, shape, values } of arrays.filter((each) => !(writer.without ?? []).includes(each.name))) {
    file.add(op.text(name));
    file.addArray(writer.types?.[name] ?? type, writer.shapes?.[name] ?? shape, encode(type, values, writer.byteOrder ?? '<'));
  }
  file.add(op.text('_sklearn_version'), op.text('1.3.0'), op.setItems, op.build, op.stop);
  return file.bytes();
}

const NEWOBJ = Buffer.from([0x81]);
/** Readers need no frames; that it says 0 bytes shows that they do not look. */
const frame = Buffer.from([0x95, 0, 0, 0, 0, 0, 0, 0, 0]);

class JoblibFile {
  readonly #writer: JoblibWriter;
  #bytes = Buffer.alloc(0);

  constructor(writer: JoblibWriter) {
    this.#writer = writer;
  }

  add(...parts: readonly Buffer[]): void {
    this.#bytes = Buffer.concat([this.#bytes, ...parts]);
  }

  bytes(): Buffer {
    return this.#bytes;
  }

  addArray(type: string, shape: readonly number[], content: Buffer): void {
    const { wrapperModule = 'joblib.numpy_pickle', order = 'C', byteOrder = '<' } = this.#writer;
    const alignment = 'alignment' in this.#writer ? this.#writer.alignment : 16;
    const minusOne = op.int(-1);
    const dtypeState = op.tupleOf(op.int(3), op.text(byteOrder), op.none, op.none, op.none, minusOne, minusOne, op.int(0));
    this.add(
      op.global(wrapperModule, 'NumpyArrayWrapper'),
      op.emptyTuple,
      NEWOBJ,
      op.emptyDict,
      op.mark,
      op.text('subclass'),
      op.global('numpy', 'ndarray'),
      op.text('shape'),
      op.tupleOf(...shape.map(op.int)),
      op.text('order'),
      op.text(order),
      op.text('dtype'),
      op.global('numpy', 'dtype'),
      op.tupleOf(op.text(type), op.false, op.true),
      op.reduce,
      dtypeState,
      op.build,
      op.text('allow_mmap'),
      op.true,
      ...(alignment === undefined ? [] : [op.text('numpy_array_alignment_bytes'), op.int(alignment)]),
      op.setItems,
      op.build,
    );
    if (alignment !== undefined) {
      const padding = alignment - ((this.#bytes.byteLength + 1) % alignment);
      this.add(Buffer.from([padding]), Buffer.alloc(padding, 0xff));
    }
    this.add(content, frame);
  }
}

function encode(type: string, values: readonly number[], byteOrder: '<' | '>'): Buffer {
  const size = Number(type.slice(1));
  const bytes = Buffer.alloc(values.length * size);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isLittle = byteOrder === '<';
  values.forEach((value, index) => {
    const at = index * size;
    switch (type) {
      case 'f8':
        return view.setFloat64(at, value, isLittle);
      case 'f4':
        return view.setFloat32(at, value, isLittle);
      case 'i8':
        return view.setBigInt64(at, BigInt(value), isLittle);
      case 'i4':
        return view.setInt32(at, value, isLittle);
      default:
        return view.setUint8(at, value);
    }
  });
  return bytes;
}
