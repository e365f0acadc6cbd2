import { type Document, isScalar, Lexer, Parser, parseDocument, visit } from 'yaml';
import { invalidBundle, quote } from './bundle-error.ts';

/** A full dump has 8 KB. */
export const MAX_SETTINGS_BYTES = 64 * 1024;
/** Uses of an anchor, those inside repeated content counted each time; a full dump has two. */
const MAX_ALIASES = 100;
/** Nodes open at the same time; a full dump nests five mappings. */
const MAX_DEPTH = 64;
/** Of all mappings together; a full dump has 300. */
const MAX_KEYS = 2000;
const UTF8 = new TextDecoder('utf-8', { fatal: true });

/**
 * The values of a YAML file by their dotted keys. Collects what is wrong with those that were asked for, so that one error can
 * name all of it.
 */
export class YamlSettings {
  /** Keys that are missing or hold something of another kind. */
  readonly malformed: string[] = [];
  /** Sound values that nobody here knows how to compute with. */
  readonly unsupported: string[] = [];
  readonly #root: unknown;

  /** @throws INVALID_BUNDLE naming `file` where it is no YAML mapping, too large, too deep, or unfolds to too much. */
  constructor(bytes: Uint8Array, file: string) {
    this.#root = parseYaml(bytes, file);
    if (mappingOf(this.#root) === undefined) {
      throw invalidBundle(file, `expected a YAML mapping, found ${describeYaml(this.#root)}`);
    }
  }

  /** The value, or undefined where there is none. */
  find(key: string): unknown {
    let value = this.#root;
    for (const part of key.split('.')) {
      const mapping = mappingOf(value);
      value = mapping !== undefined && Object.hasOwn(mapping, part) ? mapping[part] : undefined;
    }
    return value;
  }

  /** A whole number in a range; another one is malformed, and the range's start is returned in its place. */
  integer(key: string, min: number, max: number): number {
    const value = this.find(key);
    if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
      this.malformed.push(`${key}: expected a whole number from ${min} to ${max}, found ${describeYaml(value)}`);
      return min;
    }
    return value;
  }

  boolean(key: string): boolean {
    const value = this.find(key);
    if (typeof value !== 'boolean') {
      this.malformed.push(`${key}: expected true or false, found ${describeYaml(value)}`);
    }
    return value === true;
  }

  /** `count` numbers, rounded to float32 as every reader of them has them. */
  numbers(key: string, count: number, isAllowed: (value: number) => boolean, expected: string): number[] {
    const value = this.find(key);
    const rounded = Array.isArray(value) ? value.map((item) => (typeof item === 'number' ? Math.fround(item) : Number.NaN)) : [];
    if (rounded.length !== count || !rounded.every((item) => Number.isFinite(item) && isAllowed(item))) {
      this.malformed.push(`${key}: expected ${count} ${expected}, found ${describeYaml(value)}`);
      return Array.from({ length: count }, () => 1);
    }
    return rounded;
  }

  /** A value that has to be one of few. */
  oneOf<T extends string | number | boolean>(key: string, supported: readonly [T, ...T[]]): T {
    const value = this.find(key);
    const found = supported.find((each) => each === value);
    if (found === undefined) {
      const problem = `${key}: expected ${supported.map(describeYaml).join(' or ')}, found ${describeYaml(value)}`;
      (typeof value === typeof supported[0] ? this.unsupported : this.malformed).push(problem);
    }
    return found ?? supported[0];
  }

  /** A list that has to hold these, in any order and nothing else. */
  sameItems(key: string, items: readonly (string | boolean)[]): void {
    const value = this.find(key);
    const found = Array.isArray(value) ? value.map(describeItem) : undefined;
    const expected = items.map(describeItem);
    if (found === undefined) {
      this.malformed.push(`${key}: expected a list, found ${describeYaml(value)}`);
    } else if (found.toSorted().join() !== expected.toSorted().join()) {
      this.unsupported.push(`${key}: expected [${expected.join(', ')}], found ${describeYaml(value)}`);
    }
  }
}

/** What a value of a YAML file is, for an error. */
function describeYaml(value: unknown): string {
  switch (typeof value) {
    case 'undefined':
      return 'nothing';
    case 'string':
      return quote(value, 60);
    case 'number':
    case 'bigint':
    case 'boolean':
      return `${value}`;
    default:
      return Array.isArray(value) ? describeList(value) : value === null ? 'null' : 'a mapping';
  }
}

function describeList(list: readonly unknown[]): string {
  const items = list.slice(0, 8).map(describeItem);
  return `[${items.join(', ')}${list.length > items.length ? ', ...' : ''}]`;
}

/** Looks no deeper: an alias can make a list an item of itself. */
function describeItem(item: unknown): string {
  return Array.isArray(item) ? 'a list' : describeYaml(item);
}

function mappingOf(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined;
}

function parseYaml(bytes: Uint8Array, file: string): unknown {
  if (bytes.byteLength > MAX_SETTINGS_BYTES) {
    throw invalidBundle(file, `${bytes.byteLength} bytes, at most ${MAX_SETTINGS_BYTES} are read`);
  }
  try {
    const text = UTF8.decode(bytes);
    checkDepth(text);
    // The core schema makes plain values only: no dates, no bytes, no merging of mappings, and of an unknown tag nothing at all.
    const document = parseDocument(text, { schema: 'core', prettyErrors: false, uniqueKeys: false });
    const [error] = document.errors;
    if (error !== undefined) {
      throw error;
    }
    checkKeys(document);
    return document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch (cause) {
    // An alias that leads nowhere is a ReferenceError, and so is one that unfolds to too much.
    const problem = cause instanceof Error ? quote(cause.message) : 'unknown';
    throw invalidBundle(file, `not readable YAML: ${problem}`, cause);
  }
}

/**
 * The library takes tokens one by one, but makes nodes of them by recursion: deep nesting overflows the stack, and where that
 * happens inside a regular expression the whole process ends. So the depth is looked at first, token by token.
 */
function checkDepth(text: string): void {
  const parser = new Parser();
  for (const lexeme of new Lexer().lex(text)) {
    // Taken and dropped: what is complete has been counted while it was open.
    Array.from(parser.next(lexeme));
    if (parser.stack.length > MAX_DEPTH) {
      throw new Error(`nests deeper than ${MAX_DEPTH}`);
    }
  }
}

/** The library compares each key with all those before it, which takes seconds where there are ten thousand. */
function checkKeys(document: Document.Parsed): void {
  let count = 0;
  visit(document, {
    Map(_, { items }) {
      count += items.length;
      const seen = new Set<unknown>();
      for (const { key } of items) {
        const value = isScalar(key) ? key.value : key;
        if (seen.has(value)) {
          throw new Error(`map keys must be unique, found ${describeYaml(value)} twice`);
        }
        seen.add(value);
      }
    },
  });
  if (count > MAX_KEYS) {
    throw new Error(`${count} keys, at most ${MAX_KEYS} are read`);
  }
}
