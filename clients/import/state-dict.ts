import { invalidBundle, listSome, quote } from './bundle-error.ts';
import { describeValue, isNode, mappingEntries, mappingGet, type PickleValue } from './pickle-value.ts';
import { type TensorRef, tensorRefOf } from './torch-tensor.ts';

/** A model's tensors by name, and the versions that its modules wrote beside them. */
export interface StateDict {
  readonly tensors: ReadonlyMap<string, TensorRef>;
  /** `_metadata`: by module name, a mapping of what the module noted. */
  readonly metadata: PickleValue | undefined;
}

/**
 * Reads `value` as a state dict: an OrderedDict, or dict, of tensors by name.
 * @throws INVALID_BUNDLE naming what stands where a name or tensor is expected.
 */
export function stateDictOf(value: PickleValue, file: string): StateDict {
  const entries = mappingEntries(value);
  if (entries === undefined) {
    throw invalidBundle(file, `expected a state dict, found ${describeValue(value)}`);
  }
  const tensors = new Map<string, TensorRef>();
  for (const [name, tensor] of entries) {
    if (typeof name !== 'string') {
      throw invalidBundle(file, `expected the name of a tensor, found ${describeValue(name)}`);
    }
    tensors.set(name, tensorRefOf(tensor, name, file));
  }
  const state = isNode(value) && value.kind === 'call' ? value.state : undefined;
  return { tensors, metadata: mappingGet(state, '_metadata') };
}

export interface ExpectedTensors {
  /** Shapes by name. */
  readonly required: ReadonlyMap<string, readonly number[]>;
  /** Names that may be there and are never read. */
  readonly ignored: ReadonlySet<string>;
}

/**
 * Checks that the tensors are exactly those that the model needs; the reference would run with random weights in place of missing
 * ones.
 * @returns the required tensors
 * @throws INVALID_BUNDLE that lists every missing, unexpected and misshapen tensor.
 */
export function requireTensors(
  { tensors }: StateDict,
  { required, ignored }: ExpectedTensors,
  file: string,
): Map<string, TensorRef> {
  const missing = [...required.keys()].filter((name) => !tensors.has(name));
  const unexpected = [...tensors.keys()].filter((name) => !required.has(name) && !ignored.has(name));
  const misshapen: string[] = [];
  const found = new Map<string, TensorRef>();
  for (const [name, ref] of tensors) {
    const shape = required.get(name);
    if (shape === undefined) {
      continue;
    }
    found.set(name, ref);
    if (!isSameShape(shape, ref.shape)) {
      misshapen.push(`${name} (${ref.shape.join(', ')}) instead of (${shape.join(', ')})`);
    }
  }
  const problems = [
    ...(missing.length > 0 ? [`missing: ${listSome(missing)}`] : []),
    ...(unexpected.length > 0 ? [`unexpected: ${listSome(unexpected.map((name) => quote(name)))}`] : []),
    ...(misshapen.length > 0 ? [`of another shape: ${listSome(misshapen)}`] : []),
  ];
  if (problems.length > 0) {
    throw invalidBundle(file, `the tensors are not those of the model that its settings describe; ${problems.join('; ')}`);
  }
  return found;
}

function isSameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}
