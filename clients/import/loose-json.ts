import { invalidBundle, quote } from './bundle-error.ts';

export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;

/** An object's entries in the order of the file, also integer-like, repeated and odd ones such as `__proto__`. */
export class JsonObject {
  readonly entries: readonly (readonly [string, JsonValue])[];

  constructor(entries: readonly (readonly [string, JsonValue])[]) {
    this.entries = entries;
  }

  /** The value of `key`, the last one where it is repeated, as Python's reader has it. */
  get(key: string): JsonValue | undefined {
    return this.entries.findLast(([name]) => name === key)?.[1];
  }
}

/** No file of a bundle nests deeper than ten. */
const MAX_DEPTH = 64;

/**
 * JSON as Python's `json` writes and reads it: RFC 8259 plus the number tokens `Infinity`, `-Infinity` and `NaN` (MaskTerial's
 * trainer writes `Infinity` into meta_data.json when it had no test set).
 * @throws INVALID_BUNDLE naming `file` and the position.
 */
export function parseLooseJson(bytes: Uint8Array, file: string): JsonValue {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw invalidBundle(file, 'not text in UTF-8', cause);
  }
  return new Parser(text, file).parse();
}

const SPACE = /[ \t\n\r]*/y;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
/** Control characters among them are refused after the match. */
const PLAIN_CHARACTERS = /[^"\\]*/y;
const ESCAPES: Readonly<Record<string, string>> = { '"': '"', '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' };
/** Characters before this one are control characters. */
const SPACE_CODE = 0x20;
const WORDS = new Map<string, JsonValue>([
  ['null', null],
  ['true', true],
  ['false', false],
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
]);

class Parser {
  readonly #text: string;
  readonly #file: string;
  #at = 0;

  constructor(text: string, file: string) {
    this.#text = text;
    this.#file = file;
  }

  parse(): JsonValue {
    const value = this.#value(0);
    this.#skipSpace();
    if (this.#at < this.#text.length) {
      throw this.#unexpected('the end');
    }
    return value;
  }

  #value(depth: number): JsonValue {
    if (depth > MAX_DEPTH) {
      throw invalidBundle(this.#file, `nested deeper than ${MAX_DEPTH}`);
    }
    this.#skipSpace();
    switch (this.#text[this.#at]) {
      case '{':
        return this.#object(depth);
      case '[':
        return this.#array(depth);
      case '"':
        return this.#string();
      default:
        return this.#wordOrNumber();
    }
  }

  #object(depth: number): JsonObject {
    const entries: [string, JsonValue][] = [];
    this.#at += 1;
    if (this.#takes('}')) {
      return new JsonObject(entries);
    }
    do {
      this.#skipSpace();
      if (this.#text[this.#at] !== '"') {
        throw this.#unexpected('a key in double quotes');
      }
      const key = this.#string();
      this.#expect(':');
      entries.push([key, this.#value(depth + 1)]);
    } while (this.#takes(','));
    this.#expect('}');
    return new JsonObject(entries);
  }

  #array(depth: number): JsonValue[] {
    const items: JsonValue[] = [];
    this.#at += 1;
    if (this.#takes(']')) {
      return items;
    }
    do {
      items.push(this.#value(depth + 1));
    } while (this.#takes(','));
    this.#expect(']');
    return items;
  }

  #string(): string {
    this.#at += 1;
    const parts: string[] = [];
    for (;;) {
      parts.push(this.#plainCharacters());
      const mark = this.#text[this.#at];
      if (mark === '"') {
        this.#at += 1;
        return parts.join('');
      }
      if (mark !== '\\') {
        throw this.#unexpected('the rest of a string');
      }
      parts.push(this.#escape());
    }
  }

  #plainCharacters(): string {
    const start = this.#at;
    const found = this.#match(PLAIN_CHARACTERS);
    for (let index = 0; index < found.length; index += 1) {
      if (found.charCodeAt(index) < SPACE_CODE) {
        this.#at = start + index;
        throw this.#unexpected('a string without control characters');
      }
    }
    return found;
  }

  #escape(): string {
    const letter = this.#text[this.#at + 1] ?? '';
    if (letter === 'u') {
      const digits = this.#text.slice(this.#at + 2, this.#at + 6);
      if (!/^[0-9a-fA-F]{4}$/.test(digits)) {
        throw this.#unexpected('four hexadecimal digits');
      }
      this.#at += 6;
      return String.fromCharCode(Number.parseInt(digits, 16));
    }
    const character = Object.hasOwn(ESCAPES, letter) ? ESCAPES[letter] : undefined;
    if (character === undefined) {
      throw this.#unexpected('an escape');
    }
    this.#at += 2;
    return character;
  }

  #wordOrNumber(): JsonValue {
    for (const [word, value] of WORDS) {
      if (this.#text.startsWith(word, this.#at)) {
        this.#at += word.length;
        return value;
      }
    }
    const number = this.#match(NUMBER);
    if (number === '') {
      throw this.#unexpected('a value');
    }
    return Number(number);
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0] ?? '';
    this.#at += found.length;
    return found;
  }

  #skipSpace(): void {
    this.#match(SPACE);
  }

  #takes(mark: string): boolean {
    this.#skipSpace();
    const isThere = this.#text[this.#at] === mark;
    this.#at += isThere ? 1 : 0;
    return isThere;
  }

  #expect(mark: string): void {
    if (!this.#takes(mark)) {
      throw this.#unexpected(`"${mark}"`);
    }
  }

  #unexpected(expected: string): Error {
    const found = this.#at < this.#text.length ? quote(this.#text.slice(this.#at, this.#at + 12)) : 'the end';
    return invalidBundle(this.#file, `not JSON: expected ${expected} at character ${this.#at}, found ${found}`);
  }
}
