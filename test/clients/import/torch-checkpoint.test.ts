import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readerOf } from '../../../clients/import/bundle-source.ts';
import { stateDictOf } from '../../../clients/import/state-dict.ts';
import { TorchCheckpoint } from '../../../clients/import/torch-checkpoint.ts';
import { rejectsBundle } from '../../support/bundle-errors.ts';
import { MemorySource } from '../../support/bundle-memory-source.ts';
import { commandPickle, op, pickleOf } from '../../support/bundle-pickle.ts';
import {
  emptyOrderedDict,
  type StorageName,
  type TestTensor,
  TORCH_2,
  type TorchWriter,
  tensorOf,
  writePth,
  writePthAround,
} from '../../support/bundle-torch.ts';
import { writeZip } from '../../support/bundle-zip.ts';

const { signal } = new AbortController();
const FILE = 'model.pth';

async function open(bytes: Uint8Array): Promise<TorchCheckpoint> {
  const source = new MemorySource({ [FILE]: bytes });
  return TorchCheckpoint.open(readerOf(source, { path: FILE, sizeBytes: bytes.byteLength }, signal), signal);
}

async function readAll(bytes: Uint8Array): Promise<Record<string, number[]>> {
  const checkpoint = await open(bytes);
  const tensors = await checkpoint.readTensors(stateDictOf(checkpoint.root, FILE).tensors);
  return Object.fromEntries([...tensors].map(([name, values]) => [name, [...values]]));
}

const tensor = (changes: Partial<TestTensor> = {}): TestTensor => ({
  name: 'w',
  shape: [2, 3],
  data: [1, 2, 3, 4, 5, 6],
  ...changes,
});

describe('a .pth file', () => {
  const writers: readonly (readonly [string, TorchWriter])[] = [
    ['PyTorch 1.13', {}],
    ['PyTorch 2', TORCH_2],
    ['zip64', { isZip64: true }],
    ['an open file, as archive/', { prefix: 'archive' }],
    ['no _metadata', { hasMetadata: false }],
    ['no checksums', { hasChecksums: false }],
  ];
  for (const [name, writer] of writers) {
    it(`is read as written by ${name}`, async () => {
      assert.deepEqual(await readAll(writePth([tensor(), tensor({ name: 'b', shape: [], data: [0.5] })], writer)), {
        w: [1, 2, 3, 4, 5, 6],
        b: [0.5],
      });
    });
  }

  const storages: readonly (readonly [StorageName, readonly number[]])[] = [
    ['Float', [1.5, -2.25, 2 ** -140]],
    ['Double', [1.5, -2.25, 2 ** 60]],
    ['Half', [1.5, -2.25, 2 ** -24, 65504, 0]],
    ['BFloat16', [1.5, -2.25, 2 ** 100]],
    ['Long', [1, -2, 2 ** 40]],
    ['Int', [1, -2]],
    ['Byte', [0, 255]],
    ['Bool', [0, 1]],
  ];
  for (const [storage, data] of storages) {
    it(`holds ${storage} elements`, async () => {
      assert.deepEqual(await readAll(writePth([tensor({ storage, data, shape: [data.length] })])), { w: [...data] });
    });
  }

  it('rounds double precision to single, as a float32 model does', async () => {
    assert.deepEqual(await readAll(writePth([tensor({ storage: 'Double', data: [0.1], shape: [1] })])), {
      w: [Math.fround(0.1)],
    });
  });

  const views: readonly (readonly [string, Partial<TestTensor>, readonly number[]])[] = [
    ['transposed', { shape: [3, 2], stride: [1, 3] }, [1, 4, 2, 5, 3, 6]],
    ['part of a storage', { shape: [2], offset: 3 }, [4, 5]],
    ['every other element', { shape: [3], stride: [2], offset: 1 }, [2, 4, 6]],
    ['broadcast by a stride of 0', { shape: [2, 2], stride: [0, 1] }, [1, 2, 1, 2]],
    ['three axes, permuted', { shape: [3, 1, 2], stride: [1, 6, 3] }, [1, 4, 2, 5, 3, 6]],
    ['empty', { shape: [0, 3], offset: 100 }, []],
    ['a parameter', { isParameter: true }, [1, 2, 3, 4, 5, 6]],
  ];
  for (const [name, changes, expected] of views) {
    it(`holds a view: ${name}`, async () => {
      assert.deepEqual(await readAll(writePth([tensor(changes)])), { w: expected });
    });
  }

  it('is read no further than what is asked for', async () => {
    const big = tensor({ name: 'big', shape: [1_000_000], data: new Float32Array(1_000_000) });
    const bytes = writePth([tensor(), big]);
    const source = new MemorySource({ [FILE]: bytes });
    const checkpoint = await TorchCheckpoint.open(readerOf(source, { path: FILE, sizeBytes: bytes.byteLength }, signal), signal);
    const { tensors } = stateDictOf(checkpoint.root, FILE);
    await checkpoint.readTensors(new Map([...tensors].filter(([name]) => name === 'w')));
    assert.ok((source.readBytes.get(FILE) ?? 0) < 300_000, `${source.readBytes.get(FILE)} bytes were read`);
  });

  const withView = (changes: Partial<TestTensor>): Buffer => writePth([tensor(changes)]);
  const stateDict = (...items: readonly Buffer[]): Buffer =>
    writePthAround(pickleOf(emptyOrderedDict(), op.mark, ...items, op.setItems), [tensor()]);
  const refused: readonly (readonly [string, Buffer, RegExp])[] = [
    ['a shape beyond its storage', withView({ shape: [7] }), /storage of 6/],
    ['an offset beyond its storage', withView({ shape: [1], offset: 6 }), /storage of 6/],
    ['a stride beyond its storage', withView({ shape: [3, 2], stride: [3, 1] }), /storage of 6/],
    ['a stride that overflows', withView({ shape: [2 ** 30, 2 ** 30], stride: [2 ** 45, 2 ** 45] }), /storage of 6/],
    ['a negative stride', withView({ shape: [2], stride: [-1] }), /stride/],
    ['a negative size', withView({ shape: [-2] }), /whole numbers/],
    ['a stride of another rank', withView({ shape: [2, 3], stride: [1] }), /agree/],
    ['a stride of 0 over 2^40 elements', withView({ shape: [2 ** 20, 2 ** 20], stride: [0, 0] }), /elements/],
    ['a value that is not finite', withView({ data: [1, 2, Number.NaN, 4, 5, 6] }), /finite/],
    [
      'a storage of another size than declared',
      writePthAround(
        pickleOf(emptyOrderedDict(), op.mark, op.text('w'), tensorOf(tensor({ data: [1, 2, 3, 4, 5, 6, 7] }), 0), op.setItems),
        [tensor()],
      ),
      /28 bytes/,
    ],
    ['a storage that is not there', stateDict(op.text('w'), tensorOf(tensor(), 7)), /storage 7/],
    ['a storage key with a path', stateDict(op.text('w'), tensorOf(tensor(), '../data.pkl')), /storage/],
    [
      'an unknown storage type',
      stateDict(
        op.text('w'),
        Buffer.from(tensorOf(tensor(), 0).toString('latin1').replace('FloatStorage', 'EvilStorage\u0020'.slice(0, 12)), 'latin1'),
      ),
      /EvilStorage/,
    ],
    ['a call in place of a tensor', stateDict(op.text('w'), commandPickle('true')), /posix\.system/],
    [
      'a call in place of a storage',
      stateDict(
        op.text('w'),
        op.global('torch._utils', '_rebuild_tensor_v2'),
        op.tupleOf(commandPickle('true'), op.int(0), op.tupleOf(op.int(1)), op.tupleOf(op.int(1))),
        op.reduce,
      ),
      /posix\.system/,
    ],
    [
      'a call inside a parameter',
      stateDict(op.text('w'), op.global('torch._utils', '_rebuild_parameter'), op.tupleOf(commandPickle('true')), op.reduce),
      /posix\.system/,
    ],
    ['a number in place of a name', stateDict(op.int(3), tensorOf(tensor(), 0)), /name/],
    ['a call at the top', writePthAround(pickleOf(commandPickle('true')), []), /posix\.system/],
    ['a global at the top', writePthAround(pickleOf(op.global('os', 'system')), []), /os\.system/],
  ];
  for (const [name, bytes, message] of refused) {
    it(`is refused: ${name}`, async () => {
      assert.match(await rejectsBundle(readAll(bytes), FILE), message);
    });
  }

  const pickle = pickleOf(emptyOrderedDict());
  const containers: readonly (readonly [string, Buffer])[] = [
    ['not a zip', Buffer.from('hello')],
    ['empty', Buffer.alloc(0)],
    ['truncated', writePth([tensor()]).subarray(0, -200)],
    ['without data.pkl', writeZip([{ name: 'model/version', bytes: Buffer.from('3') }])],
    ['no entry', writeZip([])],
    [
      'two top folders',
      writeZip([
        { name: 'a/data.pkl', bytes: pickle },
        { name: 'b/data.pkl', bytes: pickle },
      ]),
    ],
    ['no top folder', writeZip([{ name: 'data.pkl', bytes: pickle }])],
    ['a compressed entry', writeZip([{ name: 'a/data.pkl', bytes: pickle, isDeflated: true }])],
    ['a wrong checksum', writeZip([{ name: 'a/data.pkl', bytes: pickle, crc: 1 }])],
    [
      'an entry twice',
      writeZip([
        { name: 'a/data.pkl', bytes: pickle },
        { name: 'a/data.pkl', bytes: pickle },
      ]),
    ],
    [
      'a name outside',
      writeZip([
        { name: 'a/data.pkl', bytes: pickle },
        { name: 'a/../../x', bytes: pickle },
      ]),
    ],
    ['a huge data.pkl', writeZip([{ name: 'a/data.pkl', bytes: Buffer.alloc(40 * 1024 * 1024), crc: 0 }])],
  ];
  for (const [name, bytes] of containers) {
    it(`is refused: ${name}`, async () => {
      await rejectsBundle(readAll(bytes), FILE);
    });
  }

  const unsupported: readonly (readonly [string, Buffer])[] = [
    ['the format before 1.6', Buffer.concat([Buffer.from('80028a0a6cfc9c46f9206aa85019', 'hex'), Buffer.alloc(100)])],
    [
      'TorchScript',
      writeZip([
        { name: 'a/data.pkl', bytes: pickle },
        { name: 'a/constants.pkl', bytes: pickle },
      ]),
    ],
    ['big-endian', writePth([tensor()], { byteOrder: 'big' })],
  ];
  for (const [name, bytes] of unsupported) {
    it(`is not supported: ${name}`, async () => {
      await rejectsBundle(readAll(bytes), FILE, 'UNSUPPORTED_MODEL');
    });
  }

  it('may hold a call away from the weights, which is not made', async () => {
    const harmless = pickleOf(
      commandPickle('touch /tmp/should-not-exist'),
      Buffer.from('0'),
      emptyOrderedDict(),
      op.mark,
      op.text('w'),
      tensorOf(tensor(), 0),
      op.setItems,
    );
    assert.deepEqual(await readAll(writePthAround(harmless, [tensor()])), { w: [1, 2, 3, 4, 5, 6] });
  });

  it('stops reading when its signal is aborted', async () => {
    const bytes = writePth([tensor()]);
    const source = new MemorySource({ [FILE]: bytes });
    const aborted = AbortSignal.abort();
    await assert.rejects(TorchCheckpoint.open(readerOf(source, { path: FILE, sizeBytes: bytes.byteLength }, aborted), aborted), {
      reason: 'CANCELLED',
    });
  });
});
