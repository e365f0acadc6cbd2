/**
 * What a pickle describes, as inert data. A global is only ever its name and a call is only a record of what the file asks for:
 * nothing here, and nothing that reads it, looks a name up or runs anything.
 */
export type PickleValue = PickleScalar | PickleList | PickleTuple | PickleDict | PickleGlobal | PickleCall | PicklePersistent;

/** None, bool, int (bigint beyond 2^53), float, str, bytes. */
export type PickleScalar = null | boolean | number | bigint | string | Uint8Array;

/** A list, set or frozenset. */
export interface PickleList {
  readonly kind: 'list';
  readonly items: PickleValue[];
}

export interface PickleTuple {
  readonly kind: 'tuple';
  readonly items: readonly PickleValue[];
}

export interface PickleDict {
  readonly kind: 'dict';
  /** In the order of the file; a key may be repeated, the last one counts. */
  readonly entries: [PickleValue, PickleValue][];
}

/** A class or function, by name only. */
export interface PickleGlobal {
  readonly kind: 'global';
  /** `module.name`. */
  readonly name: string;
}

/** An object that the file wants made by calling `callee`, and what it wants done to it afterwards. */
export interface PickleCall {
  readonly kind: 'call';
  readonly callee: PickleValue;
  readonly args: readonly PickleValue[];
  /** Appended to it, as to a list. */
  readonly items: PickleValue[];
  /** Set on it, as on a dict. */
  readonly entries: [PickleValue, PickleValue][];
  /** Its state, from BUILD. */
  state: PickleValue | undefined;
}

/** A reference to something kept outside the pickle. */
export interface PicklePersistent {
  readonly kind: 'persistent';
  readonly id: PickleValue;
}

type PickleNode = Exclude<PickleValue, PickleScalar>;

export function isNode(value: PickleValue | undefined): value is PickleNode {
  return typeof value === 'object' && value !== null && !(value instanceof Uint8Array);
}

/** The call's global, as `module.name`, where the value is a call of a global by name. */
export function calleeName(value: PickleValue | undefined): string | undefined {
  return isNode(value) && value.kind === 'call' && isNode(value.callee) && value.callee.kind === 'global'
    ? value.callee.name
    : undefined;
}

/** What a value is, for an error: naming the global where it stands for one. */
export function describeValue(value: PickleValue | undefined): string {
  if (value === undefined) {
    return 'nothing';
  }
  if (!isNode(value)) {
    return value === null ? 'None' : value instanceof Uint8Array ? 'bytes' : `a ${typeof value}`;
  }
  switch (value.kind) {
    case 'global':
      return `the global ${value.name}, which is not loaded`;
    case 'call': {
      const name = calleeName(value);
      return name === undefined ? 'a call, which is not made' : `a call of ${name}, which is not made`;
    }
    default:
      return `a ${value.kind}`;
  }
}

/** The entries of a dict or of an `OrderedDict`; undefined for anything else. Repeated keys are left in. */
export function mappingEntries(value: PickleValue | undefined): readonly (readonly [PickleValue, PickleValue])[] | undefined {
  if (!isNode(value)) {
    return undefined;
  }
  if (value.kind === 'dict') {
    return value.entries;
  }
  if (value.kind !== 'call' || calleeName(value) !== 'collections.OrderedDict' || value.args.length > 1) {
    return undefined;
  }
  const initial = value.args.length === 0 ? [] : pairsOf(value.args[0]);
  return initial === undefined ? undefined : [...initial, ...value.entries];
}

/** The value of `key` in a mapping, the last one where it is repeated. */
export function mappingGet(value: PickleValue | undefined, key: string): PickleValue | undefined {
  return mappingEntries(value)?.findLast(([name]) => name === key)?.[1];
}

/** Python 2 made an OrderedDict from a list of pairs. */
function pairsOf(value: PickleValue | undefined): [PickleValue, PickleValue][] | undefined {
  if (!isNode(value) || (value.kind !== 'list' && value.kind !== 'tuple')) {
    return undefined;
  }
  const pairs: [PickleValue, PickleValue][] = [];
  for (const pair of value.items) {
    const [key, item, ...rest] = isNode(pair) && (pair.kind === 'list' || pair.kind === 'tuple') ? pair.items : [];
    if (key === undefined || item === undefined || rest.length > 0) {
      return undefined;
    }
    pairs.push([key, item]);
  }
  return pairs;
}
