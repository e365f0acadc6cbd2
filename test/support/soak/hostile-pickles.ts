import { commandPickle, op, pickleOf, sized } from '../bundle-pickle.ts';
import { emptyOrderedDict } from '../bundle-torch.ts';
import type { SeededRandom } from './seeded-random.ts';

/** Every opcode of protocols 0 to 5, with and without an argument that belongs to it. */
const OPCODES = Buffer.from(
  '(.0123FIJKLMNRTUSVGHPQabcdeghijlopqrstu}])B\x80\x81\x82\x83\x84\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x90\x91\x92\x93\x94\x95\x96\x97\x98',
  'latin1',
);

/** Pickles that no training code writes. `command` is what some of them would have a shell do. */
export function hostilePickle(command: string, random: SeededRandom): Buffer {
  const many = (opcode: string, count: number): Buffer => Buffer.alloc(count, opcode);
  const depth = random.pick([100, 10_000, 200_000]);
  return random.pick<() => Buffer>([
    () => pickleOf(commandPickle(command)),
    // In the middle of what looks like a state dict.
    () => pickleOf(emptyOrderedDict(), op.mark, op.text('first.weight'), commandPickle(command), op.setItems),
    () =>
      pickleOf(
        op.global('builtins', 'eval'),
        op.tupleOf(op.text(`__import__("os").system(${JSON.stringify(command)})`)),
        op.reduce,
      ),
    () =>
      pickleOf(
        op.global('torch._utils', random.pick(['_rebuild_tensor', '_rebuild_tensor_v2', '_rebuild_parameter', 'x'])),
        op.emptyTuple,
        op.reduce,
      ),
    // Nesting, by marks, by tuples, by lists in lists, by reductions of reductions.
    () => pickleOf(many('(', depth)),
    () => pickleOf(op.none, many('\x85', depth)),
    () => pickleOf(many(']', depth), many('a', depth - 1)),
    () =>
      pickleOf(
        op.global('collections', 'OrderedDict'),
        ...Array.from({ length: Math.min(depth, 10_000) }, () => Buffer.concat([op.emptyTuple, op.reduce])),
      ),
    // Lists that hold each other twice: two to the power of their number, once somebody follows them.
    () =>
      pickleOf(
        op.emptyList,
        ...Array.from({ length: 60 }, (_, index) => Buffer.from([0x71, index, ...Buffer.from('](h'), index, 0x68, index, 0x65])),
      ),
    () =>
      pickleOf(
        sized(random.pick([0x58, 0x42, 0x54, 0x8b]), Buffer.from('x'), random.pick([0x7fff_ffff, 0xffff_ffff, 1_000_000])),
      ),
    () =>
      pickleOf(
        Buffer.from([random.pick([0x8d, 0x8e, 0x95, 0x96]), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, random.pick([0x7f, 0xff])]),
      ),
    () => pickleOf(Buffer.from([0x72, 0xff, 0xff, 0xff, 0xff]), op.none, Buffer.from([0x6a, 0xff, 0xff, 0xff, 0xff])),
    () => pickleOf(op.none, many('\x94', 900_000)),
    () => pickleOf(opcodeSoup(random)),
  ])();
}

function opcodeSoup(random: SeededRandom): Buffer {
  return Buffer.concat(
    Array.from({ length: random.between(1, 200) }, () => {
      const opcode = OPCODES.subarray(random.below(OPCODES.byteLength)).subarray(0, 1);
      return random.isChance(0.6) ? opcode : Buffer.concat([opcode, random.bytes(random.between(1, 9))]);
    }),
  );
}
