import { invalidBundle, quote } from './bundle-error.ts';

/** Python integers in these files are sizes and counts; converting a long one takes quadratic time. */
const MAX_INTEGER_BYTES = 64;
const MAX_LINE_BYTES = 1024;
const NEWLINE = 0x0a;
const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Walks through the bytes of a pickle; what an opcode declares is compared with what is left before anything is made of it. */
export class PickleReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #file: string;
  #at = 0;
  #opcodeAt = 0;

  constructor(bytes: Uint8Array, file: string) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#file = file;
  }

  /** The next opcode, to which later failures refer. */
  opcode(): number {
    this.#opcodeAt = this.#at;
    return this.uint8();
  }

  uint8(): number {
    return this.#take(1, (at) => this.#view.getUint8(at));
  }

  uint16(): number {
    return this.#take(2, (at) => this.#view.getUint16(at, true));
  }

  int32(): number {
    return this.#take(4, (at) => this.#view.getInt32(at, true));
  }

  uint32(): number {
    return this.#take(4, (at) => this.#view.getUint32(at, true));
  }

  /** Big-endian, unlike everything else. */
  float64(): number {
    return this.#take(8, (at) => this.#view.getFloat64(at, false));
  }

  /** A length; one beyond 2^53 is rounded and larger than any file all the same. */
  length64(): number {
    return this.#take(8, (at) => Number(this.#view.getBigUint64(at, true)));
  }

  /** Two's complement, little-endian, of `lengthBytes`; 0 where there are none. */
  integer(lengthBytes: number): number | bigint {
    if (lengthBytes > MAX_INTEGER_BYTES) {
      throw this.fail(`declares an integer of ${lengthBytes} bytes, at most ${MAX_INTEGER_BYTES} are read`);
    }
    const bytes = this.slice(lengthBytes);
    if (lengthBytes === 0) {
      return 0;
    }
    const magnitude = BigInt(`0x${Buffer.from(bytes.toReversed()).toString('hex')}`);
    const value = BigInt.asIntN(lengthBytes * 8, magnitude);
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }

  text(lengthBytes: number): string {
    const bytes = this.slice(lengthBytes);
    try {
      return UTF8.decode(bytes);
    } catch {
      throw this.fail('holds text that is not UTF-8');
    }
  }

  latin1(lengthBytes: number): string {
    return Buffer.from(this.slice(lengthBytes)).toString('latin1');
  }

  /** A name up to the end of its line. */
  line(): string {
    const end = this.#bytes.subarray(this.#at, this.#at + MAX_LINE_BYTES).indexOf(NEWLINE);
    if (end < 0) {
      throw this.fail(`has no end of line within ${MAX_LINE_BYTES} bytes`);
    }
    const text = this.text(end);
    this.#at += 1;
    return text;
  }

  /** A view, not a copy. */
  slice(lengthBytes: number): Uint8Array {
    return this.#take(lengthBytes, (at) => this.#bytes.subarray(at, at + lengthBytes));
  }

  /** An error about the current opcode: `problem` continues the sentence. */
  fail(problem: string): Error {
    const code = this.#bytes[this.#opcodeAt];
    const opcode = code === undefined ? 'the end' : `opcode 0x${code.toString(16)} (${quote(String.fromCharCode(code))})`;
    return invalidBundle(this.#file, `not a readable pickle: ${opcode} at byte ${this.#opcodeAt} ${problem}`);
  }

  #take<T>(lengthBytes: number, read: (at: number) => T): T {
    if (lengthBytes > this.#bytes.byteLength - this.#at) {
      throw this.fail(`needs ${lengthBytes} more bytes, ${this.#bytes.byteLength - this.#at} are left`);
    }
    const value = read(this.#at);
    this.#at += lengthBytes;
    return value;
  }
}
