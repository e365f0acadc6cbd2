import type { AttributeValue } from '@aws-sdk/client-dynamodb';

/** What the catalog keeps in an attribute. Numbers are whole ones. */
export type Value = string | number | boolean | Uint8Array | readonly Value[] | { readonly [name: string]: Value };
/** An item without its key. */
export type Attributes = Readonly<Record<string, Value>>;
/** An item as it was read. */
export type Row = Readonly<Record<string, unknown>>;

export function toAttribute(value: Value): AttributeValue {
  switch (typeof value) {
    case 'string':
      return { S: value };
    case 'number':
      return { N: String(value) };
    case 'boolean':
      return { BOOL: value };
    default:
      if (value instanceof Uint8Array) {
        return { B: value };
      }
      return isList(value) ? { L: value.map(toAttribute) } : { M: toAttributes(value) };
  }
}

export function toAttributes(values: Attributes): Record<string, AttributeValue> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, toAttribute(value)]));
}

export function fromAttributes(item: Readonly<Record<string, AttributeValue>>): Row {
  return Object.fromEntries(Object.entries(item).map(([name, value]) => [name, fromAttribute(value)]));
}

export function textOf(row: Row, name: string): string {
  const value = row[name];
  if (typeof value !== 'string') {
    throw new Error(`attribute ${name} holds ${typeof value} where text was written`);
  }
  return value;
}

export function integerOf(row: Row, name: string): number {
  const value = row[name];
  if (typeof value !== 'number') {
    throw new Error(`attribute ${name} holds ${typeof value} where a number was written`);
  }
  return value;
}

export function bytesOf(row: Row, name: string): Uint8Array {
  const value = row[name];
  if (!(value instanceof Uint8Array)) {
    throw new Error(`attribute ${name} holds ${typeof value} where bytes were written`);
  }
  return value;
}

function fromAttribute(value: AttributeValue): unknown {
  if (value.S !== undefined) {
    return value.S;
  }
  if (value.N !== undefined) {
    return Number(value.N);
  }
  if (value.BOOL !== undefined) {
    return value.BOOL;
  }
  if (value.B !== undefined) {
    return value.B;
  }
  if (value.L !== undefined) {
    return value.L.map(fromAttribute);
  }
  if (value.M !== undefined) {
    return fromAttributes(value.M);
  }
  throw new Error(`an attribute of a type that the catalog does not write: ${Object.keys(value).join()}`);
}

function isList(value: readonly Value[] | { readonly [name: string]: Value }): value is readonly Value[] {
  return Array.isArray(value);
}
