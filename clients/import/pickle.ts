import { invalidBundle, quote } from './bundle-error.ts';
import { isNode, type PickleCall, type PickleValue } from './pickle-value.ts';

/** About 40 steps describe a tensor: enough for a checkpoint of 20 000, and at most some 200 MB of nodes for a hostile file. */
const MAX_STEPS = 1_000_000;
/** Python integers in these files are sizes and counts; a longer one costs quadratic time to convert. */
const MAX_INTEGER_BYTES = 64;
const MAX_NAME_BYTES = 1024;

/**
 * Reads a pickle of protocol 2 to 5 into inert values: a stack machine for the binary opcodes of Python's `pickletools`, in
 * which building an object means noting what was asked for. Text opcodes of protocols 0 and 1, extension codes and out-of-band
 * buffers are refused. Work and memory are bounded by the length of the file and by `MAX_STEPS`.
 * @throws INVALID_BUNDLE naming `file`, the opcode and its position.
 */
export function parsePickle(bytes: Uint8Array, file: string): PickleValue {
  return new PickleMachine(bytes, file).run();
}

class PickleMachine {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #file: string;
  readonly #stack: PickleValue[] = [];
  /** Heights of the stack at the open marks. */
  readonly #marks: number[] = [];
  readonly #memo = new Map<number, PickleValue>();
  #at = 0;
  #opcodeAt = 0;

  constructor(bytes: Uint8Array, file: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#file = file;
  }

  run(): PickleValue {
    for (let step = 0; step < MAX_STEPS; step += 1) {
      this.#opcodeAt = this.#at;
      const opcode = this.#uint8();
      if (opcode === STOP) {
        return this.#pop();
      }
      this.#step(opcode);
    }
    throw this.#fail(`has more than ${MAX_STEPS} steps`);
  }

  #step(opcode: number): void {
    switch (opcode) {
      case 0x80: // PROTO
        return this.#checkProtocol();
      case 0x95: // FRAME
        this.#length64();
        return;
      case 0x4e: // NONE
        return this.#push(null);
      case 0x88: // NEWTRUE
        return this.#push(true);
      case 0x89: // NEWFALSE
        return this.#push(false);
      case 0x4b: // BININT1
        return this.#push(this.#uint8());
      case 0x4d: // BININT2
        return this.#push(this.#uint16());
      case 0x4a: // BININT
        return this.#push(this.#take(4, (at) => this.#view.getInt32(at, true)));
      case 0x8a: // LONG1
        return this.#push(this.#integer(this.#uint8()));
      case 0x8b: // LONG4
        return this.#push(this.#integer(this.#uint32()));
      case 0x47: // BINFLOAT
        return this.#push(this.#take(8, (at) => this.#view.getFloat64(at, false)));
      case 0x8c: // SHORT_BINUNICODE
        return this.#push(this.#text(this.#uint8()));
      case 0x58: // BINUNICODE
        return this.#push(this.#text(this.#uint32()));
      case 0x8d: // BINUNICODE8
        return this.#push(this.#text(this.#length64()));
      case 0x55: // SHORT_BINSTRING
        return this.#push(latin1(this.#slice(this.#uint8())));
      case 0x54: // BINSTRING
        return this.#push(latin1(this.#slice(this.#uint32())));
      case 0x43: // SHORT_BINBYTES
        return this.#push(this.#slice(this.#uint8()));
      case 0x42: // BINBYTES
        return this.#push(this.#slice(this.#uint32()));
      case 0x8e: // BINBYTES8
      case 0x96: // BYTEARRAY8
        return this.#push(this.#slice(this.#length64()));
      default:
        return this.#stepOnStack(opcode);
    }
  }

  /** The opcodes that work on what earlier ones left. */
  #stepOnStack(opcode: number): void {
    switch (opcode) {
      case 0x28: // MARK
        this.#marks.push(this.#stack.length);
        return;
      case 0x30: // POP
        this.#pop();
        return;
      case 0x31: // POP_MARK
        this.#popMark();
        return;
      case 0x32: // DUP
        return this.#push(this.#top());
      case 0x5d: // EMPTY_LIST
      case 0x8f: // EMPTY_SET
        return this.#push({ kind: 'list', items: [] });
      case 0x7d: // EMPTY_DICT
        return this.#push({ kind: 'dict', entries: [] });
      case 0x29: // EMPTY_TUPLE
        return this.#push({ kind: 'tuple', items: [] });
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: // TUPLE3
        return this.#push({ kind: 'tuple', items: this.#popMany(opcode - 0x84) });
      case 0x74: // TUPLE
        return this.#push({ kind: 'tuple', items: this.#popMark() });
      case 0x6c: // LIST
      case 0x91: // FROZENSET
        return this.#push({ kind: 'list', items: this.#popMark() });
      case 0x64: // DICT
        return this.#push({ kind: 'dict', entries: this.#pairs(this.#popMark()) });
      case 0x61: // APPEND
        return this.#append(this.#popMany(1));
      case 0x65: // APPENDS
      case 0x90: // ADDITEMS
        return this.#append(this.#popMark());
      case 0x73: // SETITEM
        return this.#setItems(this.#popMany(2));
      case 0x75: // SETITEMS
        return this.#setItems(this.#popMark());
      default:
        return this.#stepOnMemoOrObject(opcode);
    }
  }

  #stepOnMemoOrObject(opcode: number): void {
    switch (opcode) {
      case 0x68: // BINGET
        return this.#push(this.#recall(this.#uint8()));
      case 0x6a: // LONG_BINGET
        return this.#push(this.#recall(this.#uint32()));
      case 0x71: // BINPUT
        this.#memo.set(this.#uint8(), this.#top());
        return;
      case 0x72: // LONG_BINPUT
        this.#memo.set(this.#uint32(), this.#top());
        return;
      case 0x94: // MEMOIZE
        this.#memo.set(this.#memo.size, this.#top());
        return;
      case 0x63: // GLOBAL
        return this.#pushGlobal(this.#line(), this.#line());
      case 0x93: {
        // STACK_GLOBAL
        const [module, name] = this.#popMany(2);
        return this.#pushGlobal(module, name);
      }
      case 0x52: // REDUCE
      case 0x81: {
        // NEWOBJ
        const [callee, args] = this.#popMany(2);
        return this.#pushCall(callee, args, undefined);
      }
      case 0x92: {
        // NEWOBJ_EX
        const [callee, args, keywords] = this.#popMany(3);
        return this.#pushCall(callee, args, keywords);
      }
      case 0x62: // BUILD
        return this.#build();
      case 0x51: // BINPERSID
        return this.#push({ kind: 'persistent', id: this.#pop() });
      default:
        throw this.#fail('is not supported: expected a binary opcode of protocols 2 to 5');
    }
  }

  #checkProtocol(): void {
    const protocol = this.#uint8();
    if (protocol < 2 || protocol > 5) {
      throw this.#fail(`declares protocol ${protocol}, expected 2 to 5`);
    }
  }

  #pushGlobal(module: PickleValue | undefined, name: PickleValue | undefined): void {
    if (typeof module !== 'string' || typeof name !== 'string' || module.length + name.length > MAX_NAME_BYTES) {
      throw this.#fail('names a global that is not two short strings');
    }
    this.#push({ kind: 'global', name: `${module}.${name}` });
  }

  #pushCall(callee: PickleValue | undefined, args: PickleValue | undefined, keywords: PickleValue | undefined): void {
    if (callee === undefined || !isNode(args) || args.kind !== 'tuple') {
      throw this.#fail('calls something without a tuple of arguments');
    }
    const all = keywords === undefined ? args.items : [...args.items, keywords];
    this.#push({ kind: 'call', callee, args: all, items: [], entries: [], state: undefined } satisfies PickleCall);
  }

  #build(): void {
    const state = this.#pop();
    const target = this.#top();
    if (!isNode(target) || target.kind !== 'call') {
      throw this.#fail('sets the state of something that has none');
    }
    target.state = state;
  }

  #append(items: readonly PickleValue[]): void {
    const target = this.#top();
    if (!isNode(target) || (target.kind !== 'list' && target.kind !== 'call')) {
      throw this.#fail('appends to something that is not a list');
    }
    for (const item of items) {
      target.items.push(item);
    }
  }

  #setItems(items: readonly PickleValue[]): void {
    const pairs = this.#pairs(items);
    const target = this.#top();
    if (!isNode(target) || (target.kind !== 'dict' && target.kind !== 'call')) {
      throw this.#fail('sets items of something that is not a dict');
    }
    for (const pair of pairs) {
      target.entries.push(pair);
    }
  }

  #pairs(items: readonly PickleValue[]): [PickleValue, PickleValue][] {
    if (items.length % 2 !== 0) {
      throw this.#fail('has a key without a value');
    }
    const pairs: [PickleValue, PickleValue][] = [];
    for (let index = 0; index < items.length; index += 2) {
      pairs.push([items[index] ?? null, items[index + 1] ?? null]);
    }
    return pairs;
  }

  #push(value: PickleValue): void {
    this.#stack.push(value);
  }

  #top(): PickleValue {
    const value = this.#stack.at(-1);
    if (value === undefined || this.#stack.length <= (this.#marks.at(-1) ?? 0)) {
      throw this.#fail('finds the stack empty');
    }
    return value;
  }

  #pop(): PickleValue {
    const value = this.#top();
    this.#stack.pop();
    return value;
  }

  #popMany(count: number): PickleValue[] {
    if (this.#stack.length - (this.#marks.at(-1) ?? 0) < count) {
      throw this.#fail(`finds fewer than ${count} values on the stack`);
    }
    return this.#stack.splice(this.#stack.length - count, count);
  }

  #popMark(): PickleValue[] {
    const height = this.#marks.pop();
    if (height === undefined) {
      throw this.#fail('finds no mark');
    }
    return this.#stack.splice(height);
  }

  #recall(key: number): PickleValue {
    const value = this.#memo.get(key);
    if (value === undefined) {
      throw this.#fail(`recalls memo entry ${key}, which was never stored`);
    }
    return value;
  }

  #uint8(): number {
    return this.#take(1, (at) => this.#view.getUint8(at));
  }

  #uint16(): number {
    return this.#take(2, (at) => this.#view.getUint16(at, true));
  }

  #uint32(): number {
    return this.#take(4, (at) => this.#view.getUint32(at, true));
  }

  #length64(): number {
    return this.#take(8, (at) => Number(this.#view.getBigUint64(at, true)));
  }

  /** Two's complement, little-endian, as many bytes as declared; none are zero. */
  #integer(lengthBytes: number): number | bigint {
    if (lengthBytes > MAX_INTEGER_BYTES) {
      throw this.#fail(`declares an integer of ${lengthBytes} bytes, at most ${MAX_INTEGER_BYTES} are read`);
    }
    const bytes = this.#slice(lengthBytes);
    if (lengthBytes === 0) {
      return 0;
    }
    const magnitude = BigInt(`0x${Buffer.from(bytes).reverse().toString('hex')}`);
    const value = BigInt.asIntN(lengthBytes * 8, magnitude);
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }

  #text(lengthBytes: number): string {
    try {
      return UTF8.decode(this.#slice(lengthBytes));
    } catch (cause) {
      throw cause instanceof TypeError ? this.#fail('holds text that is not UTF-8') : cause;
    }
  }

  /** A name up to the end of its line. */
  #line(): string {
    const end = this.#bytes.subarray(this.#at, this.#at + MAX_NAME_BYTES).indexOf(NEWLINE);
    if (end < 0) {
      throw this.#fail(`has no end of line within ${MAX_NAME_BYTES} bytes`);
    }
    const text = this.#text(end);
    this.#at += 1;
    return text;
  }

  #slice(lengthBytes: number): Uint8Array {
    return this.#take(lengthBytes, (at) => this.#bytes.subarray(at, at + lengthBytes));
  }

  #take<T>(lengthBytes: number, read: (at: number) => T): T {
    if (lengthBytes > this.#bytes.byteLength - this.#at) {
      throw this.#fail(`needs ${lengthBytes} more bytes, ${this.#bytes.byteLength - this.#at} are left`);
    }
    const value = read(this.#at);
    this.#at += lengthBytes;
    return value;
  }

  #fail(problem: string): Error {
    const code = this.#bytes[this.#opcodeAt];
    const opcode = code === undefined ? 'the end' : `opcode 0x${code.toString(16)} (${quote(String.fromCharCode(code))})`;
    return invalidBundle(this.#file, `not a readable pickle: ${opcode} at byte ${this.#opcodeAt} ${problem}`);
  }
}

const STOP = 0x2e;
const NEWLINE = 0x0a;
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}
