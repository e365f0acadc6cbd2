import { closeSync, openSync, writeSync } from 'node:fs';
import { op, pickleOf } from '../bundle-pickle.ts';
import { emptyOrderedDict, encodeElements, tensorOf } from '../bundle-torch.ts';
import { type TestZipEntry, zipParts } from '../bundle-zip.ts';

/** A tensor whose values are made when they are written. */
export interface LazyTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly values: () => Float32Array;
}

/** How a checkpoint is written; the defaults are those of PyTorch 1.13 on a CPU, by a trainer without optimizer state. */
export interface CheckpointWriter {
  /** `bare`: the top level is the state dict itself. */
  readonly isBare?: boolean;
  readonly prefix?: string;
  readonly location?: string;
  /** PyTorch 2 writes storages in the order of their numbers, 1.13 in that of their names as text; and a few entries more. */
  readonly torch?: 1 | 2;
  /** Adds two moments and a step for each tensor whose name begins so, as AdamW keeps them. */
  readonly optimizerOf?: string;
  readonly hasChecksums?: boolean;
}

/** The pieces of a `.pth` as the original trainer writes it. */
export function checkpointParts(tensors: readonly LazyTensor[], writer: CheckpointWriter = {}): Generator<Buffer> {
  const { prefix = 'archive', location = 'cpu', torch = 1 } = writer;
  const trained = writer.optimizerOf === undefined ? [] : tensors.filter(({ name }) => name.startsWith(writer.optimizerOf ?? ''));
  const moments = trained.flatMap(({ name, shape }): LazyTensor[] => {
    const zeros = (): Float32Array => new Float32Array(countOf(shape)).fill(0.25);
    return [
      { name: `${name}.step`, shape: [], values: () => Float32Array.of(500) },
      { name: `${name}.exp_avg`, shape, values: zeros },
      { name: `${name}.exp_avg_sq`, shape, values: zeros },
    ];
  });
  const all = [...tensors, ...moments];
  const keys = new Map(all.map(({ name }, index) => [name, index]));
  const reference = (tensor: LazyTensor): Buffer =>
    tensorOf({ ...tensor, data: { length: countOf(tensor.shape) } }, keys.get(tensor.name) ?? 0, location);
  const model = Buffer.concat([
    emptyOrderedDict(),
    op.mark,
    ...tensors.flatMap((tensor) => [op.text(tensor.name), reference(tensor)]),
    op.setItems,
    // What `state_dict` notes beside the tensors.
    dictOf(['_metadata', Buffer.concat([emptyOrderedDict(), op.mark, op.text(''), dictOf(['version', op.int(1)]), op.setItems])]),
    op.build,
  ]);
  const root =
    writer.isBare === true
      ? model
      : dictOf(['model', model], ['trainer', trainer(moments, reference)], ['iteration', op.int(499)]);
  const entry = (name: string, bytes: Uint8Array): TestZipEntry => ({
    name: `${prefix}/${name}`,
    bytes,
    alignment: 64,
    ...(writer.hasChecksums === false ? { crc: 0 } : {}),
  });
  const order = torch === 1 ? [...all.keys()].toSorted((a, b) => (String(a) < String(b) ? -1 : 1)) : [...all.keys()];
  const entries = function* (): Generator<TestZipEntry> {
    yield entry('data.pkl', pickleOf(root));
    if (torch === 2) {
      yield entry('.format_version', Buffer.from('1'));
      yield entry('.storage_alignment', Buffer.from('64'));
      yield entry('byteorder', Buffer.from('little'));
    }
    for (const index of order) {
      yield entry(`data/${index}`, encodeElements(all[index]?.values() ?? [], 'Float'));
    }
    yield entry('version', Buffer.from('3\n'));
    if (torch === 2) {
      yield entry('.data/serialization_id', Buffer.from('0'.repeat(40)));
    }
  };
  return zipParts(entries());
}

/** Writes the checkpoint without ever holding it. */
export function writeCheckpoint(path: string, tensors: readonly LazyTensor[], writer: CheckpointWriter = {}): void {
  const file = openSync(path, 'w');
  try {
    for (const part of checkpointParts(tensors, writer)) {
      writeSync(file, part);
    }
  } finally {
    closeSync(file);
  }
}

function countOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** What the trainer keeps of itself: tensors of the optimizer's, and objects that no reader needs to know. */
function trainer(moments: readonly LazyTensor[], reference: (tensor: LazyTensor) => Buffer): Buffer {
  const states: [Buffer, Buffer][] = [];
  for (let index = 0; index < moments.length; index += 3) {
    const names = ['step', 'exp_avg', 'exp_avg_sq'];
    const state = moments.slice(index, index + 3).map((tensor, at): [string, Buffer] => [names[at] ?? '', reference(tensor)]);
    states.push([op.int(index / 3), dictOf(...state)]);
  }
  const optimizer = dictOf(['state', mappingOf(states)], ['param_groups', op.emptyList]);
  const hooks = dictOf(['LRScheduler', Buffer.concat([op.global('collections', 'Counter'), op.emptyTuple, op.reduce])]);
  return dictOf(
    ['iteration', op.int(499)],
    ['hooks', hooks],
    ['_trainer', dictOf(['iteration', op.int(499)], ['optimizer', optimizer])],
  );
}

function dictOf(...entries: readonly [string, Buffer][]): Buffer {
  return mappingOf(entries.map(([key, value]) => [op.text(key), value]));
}

function mappingOf(entries: readonly [Buffer, Buffer][]): Buffer {
  return Buffer.concat([op.emptyDict, op.mark, ...entries.flat(), op.setItems]);
}
