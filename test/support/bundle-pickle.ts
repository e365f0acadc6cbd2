/** Assembles pickles opcode by opcode, of whatever a test wants a reader to meet. */
export const op = {
  proto: (version: number): Buffer => Buffer.from([0x80, version]),
  stop: Buffer.from('.'),
  none: Buffer.from('N'),
  mark: Buffer.from('('),
  reduce: Buffer.from('R'),
  build: Buffer.from('b'),
  persist: Buffer.from('Q'),
  emptyTuple: Buffer.from(')'),
  emptyDict: Buffer.from('}'),
  emptyList: Buffer.from(']'),
  setItems: Buffer.from('u'),
  tuple: Buffer.from('t'),
  false: Buffer.from([0x89]),
  true: Buffer.from([0x88]),
  global: (module: string, name: string): Buffer => Buffer.from(`c${module}\n${name}\n`),
  text: (text: string): Buffer => sized(0x58, Buffer.from(text)),
  int: (value: number): Buffer => {
    if (value >= 0 && value < 256) {
      return Buffer.from([0x4b, value]);
    }
    if (Math.abs(value) < 2 ** 31) {
      const bytes = Buffer.alloc(5, 'J');
      bytes.writeInt32LE(value, 1);
      return bytes;
    }
    const bytes = Buffer.alloc(10);
    bytes[0] = 0x8a;
    bytes[1] = 8;
    bytes.writeBigInt64LE(BigInt(value), 2);
    return bytes;
  },
  tupleOf: (...items: readonly Buffer[]): Buffer => Buffer.concat([op.mark, ...items, op.tuple]),
} as const;

/** The opcode, a length of four bytes, and the content. */
export function sized(opcode: number, content: Uint8Array, declaredBytes = content.byteLength): Buffer {
  const head = Buffer.alloc(5);
  head[0] = opcode;
  head.writeUInt32LE(declaredBytes, 1);
  return Buffer.concat([head, content]);
}

/** A whole pickle of protocol 2. */
export function pickleOf(...parts: readonly Buffer[]): Buffer {
  return Buffer.concat([op.proto(2), ...parts, op.stop]);
}

/** What `pickle.dumps` of an object whose `__reduce__` returns `(os.system, (command,))` gives. */
export function commandPickle(command: string): Buffer {
  return Buffer.concat([op.global('posix', 'system'), op.tupleOf(op.text(command)), op.reduce]);
}
