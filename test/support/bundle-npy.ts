export interface NpyWriter {
  readonly descr?: string;
  readonly isFortranOrder?: boolean;
  readonly major?: 1 | 2 | 3;
  /** In place of the whole header text. */
  readonly header?: string;
}

/** A `.npy` file; `data` is written in the order given. */
export function writeNpy(shape: readonly number[], data: ArrayLike<number>, writer: NpyWriter = {}): Buffer {
  const { descr = '<f4', major = 1, isFortranOrder = false } = writer;
  const shapeText = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const header =
    writer.header ?? `{'descr': '${descr}', 'fortran_order': ${isFortranOrder ? 'True' : 'False'}, 'shape': (${shapeText}), }`;
  const lengthBytes = major === 1 ? 2 : 4;
  const unpadded = 8 + lengthBytes + header.length + 1;
  const text = Buffer.from(`${header}${' '.repeat((64 - (unpadded % 64)) % 64)}\n`, 'latin1');
  const head = Buffer.alloc(8 + lengthBytes);
  head.write('\u0093NUMPY', 0, 'latin1');
  head[6] = major;
  head.writeUIntLE(text.byteLength, 8, lengthBytes);
  const size = descr.endsWith('8') ? 8 : 4;
  const content = Buffer.alloc(data.length * size);
  Array.from(data).forEach((value, index) =>
    size === 8 ? content.writeDoubleLE(value, index * 8) : content.writeFloatLE(value, index * 4),
  );
  return Buffer.concat([head, text, content]);
}

/** The same elements in Fortran order. */
export function toFortranOrder(shape: readonly number[], data: ArrayLike<number>): number[] {
  const result: number[] = [];
  for (let at = 0; at < data.length; at += 1) {
    // Index of the element that stands at place `at` in Fortran order: the first axis runs fastest.
    let rest = at;
    let from = 0;
    const index = shape.map((size) => {
      const value = rest % size;
      rest = Math.floor(rest / size);
      return value;
    });
    index.forEach((value, axis) => {
      from = from * (shape[axis] ?? 1) + value;
    });
    result.push(data[from] ?? 0);
  }
  return result;
}
