import { quote } from './bundle-error.ts';
import { PickleReader } from './pickle-reader.ts';
import { isNode, type PickleCall, type PickleValue } from './pickle-value.ts';

/** About 40 steps describe a tensor: enough for a checkpoint of 20 000, and at most some 200 MB of nodes for a hostile file. */
const MAX_STEPS = 1_000_000;
const MAX_NAME_CHARACTERS = 1024;

/** How one kind of file departs from a plain pickle. */
export interface PickleDialect {
  /** The globals that it may name, as `module.name`. Unset: any, each an inert name. */
  readonly globals?: ReadonlySet<string>;
  /** Told of each object whose state was set; reads on from there where the writer spliced something into the stream. */
  readonly onBuilt?: (target: PickleCall, input: PickleReader) => void;
}

/**
 * Reads a pickle of protocol 2 to 5 into inert values: a stack machine for the binary opcodes of Python's `pickletools`, in
 * which building an object means noting what was asked for. Text opcodes of protocols 0 and 1, extension codes and out-of-band
 * buffers are refused. Work and memory are bounded by the length of the file and by `MAX_STEPS`.
 * @throws INVALID_BUNDLE naming `file`, the opcode and its position.
 */
export function parsePickle(bytes: Uint8Array, file: string, dialect: PickleDialect = {}): PickleValue {
  return new PickleMachine(bytes, file, dialect).run();
}

class PickleMachine {
  readonly #input: PickleReader;
  readonly #stack: PickleValue[] = [];
  /** Heights of the stack at the open marks. */
  readonly #marks: number[] = [];
  readonly #memo = new Map<number, PickleValue>();
  readonly #dialect: PickleDialect;

  constructor(bytes: Uint8Array, file: string, dialect: PickleDialect) {
    this.#input = new PickleReader(bytes, file);
    this.#dialect = dialect;
  }

  run(): PickleValue {
    for (let step = 0; step < MAX_STEPS; step += 1) {
      const opcode = this.#input.opcode();
      if (opcode === STOP) {
        return this.#pop();
      }
      this.#step(opcode);
    }
    throw this.#input.fail(`has more than ${MAX_STEPS} steps`);
  }

  #step(opcode: number): void {
    switch (opcode) {
      case 0x80: // PROTO
        return this.#checkProtocol();
      case 0x95: // FRAME
        this.#input.length64();
        return;
      case 0x4e: // NONE
        return this.#push(null);
      case 0x88: // NEWTRUE
        return this.#push(true);
      case 0x89: // NEWFALSE
        return this.#push(false);
      case 0x4b: // BININT1
        return this.#push(this.#input.uint8());
      case 0x4d: // BININT2
        return this.#push(this.#input.uint16());
      case 0x4a: // BININT
        return this.#push(this.#input.int32());
      case 0x8a: // LONG1
        return this.#push(this.#input.integer(this.#input.uint8()));
      case 0x8b: // LONG4
        return this.#push(this.#input.integer(this.#input.uint32()));
      case 0x47: // BINFLOAT
        return this.#push(this.#input.float64());
      case 0x8c: // SHORT_BINUNICODE
        return this.#push(this.#input.text(this.#input.uint8()));
      case 0x58: // BINUNICODE
        return this.#push(this.#input.text(this.#input.uint32()));
      case 0x8d: // BINUNICODE8
        return this.#push(this.#input.text(this.#input.length64()));
      case 0x55: // SHORT_BINSTRING
        return this.#push(this.#input.latin1(this.#input.uint8()));
      case 0x54: // BINSTRING
        return this.#push(this.#input.latin1(this.#input.uint32()));
      case 0x43: // SHORT_BINBYTES
        return this.#push(this.#input.slice(this.#input.uint8()));
      case 0x42: // BINBYTES
        return this.#push(this.#input.slice(this.#input.uint32()));
      case 0x8e: // BINBYTES8
      case 0x96: // BYTEARRAY8
        return this.#push(this.#input.slice(this.#input.length64()));
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
        return this.#push(this.#recall(this.#input.uint8()));
      case 0x6a: // LONG_BINGET
        return this.#push(this.#recall(this.#input.uint32()));
      case 0x71: // BINPUT
        this.#memo.set(this.#input.uint8(), this.#top());
        return;
      case 0x72: // LONG_BINPUT
        this.#memo.set(this.#input.uint32(), this.#top());
        return;
      case 0x94: // MEMOIZE
        this.#memo.set(this.#memo.size, this.#top());
        return;
      case 0x63: // GLOBAL
        return this.#pushGlobal(this.#input.line(), this.#input.line());
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
        throw this.#input.fail('is not supported: expected a binary opcode of protocols 2 to 5');
    }
  }

  #checkProtocol(): void {
    const protocol = this.#input.uint8();
    if (protocol < 2 || protocol > 5) {
      throw this.#input.fail(`declares protocol ${protocol}, expected 2 to 5`);
    }
  }

  #pushGlobal(module: PickleValue | undefined, name: PickleValue | undefined): void {
    if (typeof module !== 'string' || typeof name !== 'string' || module.length + name.length > MAX_NAME_CHARACTERS) {
      throw this.#input.fail('names a global that is not two short strings');
    }
    const full = `${module}.${name}`;
    if (this.#dialect.globals?.has(full) === false) {
      throw this.#input.fail(`names the global ${quote(full)}, which no such file needs`);
    }
    this.#push({ kind: 'global', name: full });
  }

  #pushCall(callee: PickleValue | undefined, args: PickleValue | undefined, keywords: PickleValue | undefined): void {
    if (callee === undefined || !isNode(args) || args.kind !== 'tuple') {
      throw this.#input.fail('calls something without a tuple of arguments');
    }
    const all = keywords === undefined ? args.items : [...args.items, keywords];
    this.#push({ kind: 'call', callee, args: all, items: [], entries: [], state: undefined } satisfies PickleCall);
  }

  #build(): void {
    const state = this.#pop();
    const target = this.#top();
    if (!isNode(target) || target.kind !== 'call') {
      throw this.#input.fail('sets the state of something that has none');
    }
    target.state = state;
    this.#dialect.onBuilt?.(target, this.#input);
  }

  #append(items: readonly PickleValue[]): void {
    const target = this.#top();
    if (!isNode(target) || (target.kind !== 'list' && target.kind !== 'call')) {
      throw this.#input.fail('appends to something that is not a list');
    }
    for (const item of items) {
      target.items.push(item);
    }
  }

  #setItems(items: readonly PickleValue[]): void {
    const pairs = this.#pairs(items);
    const target = this.#top();
    if (!isNode(target) || (target.kind !== 'dict' && target.kind !== 'call')) {
      throw this.#input.fail('sets items of something that is not a dict');
    }
    for (const pair of pairs) {
      target.entries.push(pair);
    }
  }

  #pairs(items: readonly PickleValue[]): [PickleValue, PickleValue][] {
    if (items.length % 2 !== 0) {
      throw this.#input.fail('has a key without a value');
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
      throw this.#input.fail('finds the stack empty');
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
      throw this.#input.fail(`finds fewer than ${count} values on the stack`);
    }
    return this.#stack.splice(this.#stack.length - count, count);
  }

  #popMark(): PickleValue[] {
    const height = this.#marks.pop();
    if (height === undefined) {
      throw this.#input.fail('finds no mark');
    }
    return this.#stack.splice(height);
  }

  #recall(key: number): PickleValue {
    const value = this.#memo.get(key);
    if (value === undefined) {
      throw this.#input.fail(`recalls memo entry ${key}, which was never stored`);
    }
    return value;
  }
}

const STOP = 0x2e;
