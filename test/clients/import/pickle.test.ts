import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parsePickle } from '../../../clients/import/pickle.ts';
import { describeValue, mappingEntries, mappingGet, type PickleValue } from '../../../clients/import/pickle-value.ts';
import { assertBundleError } from '../../support/bundle-errors.ts';
import { commandPickle, op, pickleOf, sized } from '../../support/bundle-pickle.ts';

const parse = (...parts: readonly Buffer[]): PickleValue => parsePickle(pickleOf(...parts), 'data.pkl');
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

describe('a pickle', () => {
  const scalars: readonly (readonly [string, Buffer, PickleValue])[] = [
    ['None', op.none, null],
    ['True', hex('88'), true],
    ['BININT1', hex('4bff'), 255],
    ['BININT2', hex('4d0102'), 513],
    ['BININT', hex('4affffffff'), -1],
    ['LONG1 of no bytes', hex('8a00'), 0],
    ['LONG1', hex('8a02 00ff'), -256],
    ['LONG4', hex('8b 03000000 ffff7f'), 8388607],
    ['LONG1 beyond 2^53', hex('8a09 000000000000000001'), 2n ** 64n],
    ['BINFLOAT', hex('47 3ff8000000000000'), 1.5],
    ['BINUNICODE', op.text('gr\u00fcn'), 'gr\u00fcn'],
    ['SHORT_BINUNICODE', hex('8c02 6162'), 'ab'],
    ['BINUNICODE8', hex('8d 0100000000000000 61'), 'a'],
    ['SHORT_BINSTRING', hex('5502 61ff'), 'a\u00ff'],
    ['BINSTRING', hex('54 01000000 61'), 'a'],
  ];
  for (const [name, bytes, expected] of scalars) {
    it(`reads ${name}`, () => {
      assert.equal(parse(bytes), expected);
    });
  }

  for (const bytes of ['43 02 0102', '42 02000000 0102', '8e 0200000000000000 0102', '96 0200000000000000 0102']) {
    it(`reads bytes from opcode 0x${bytes.slice(0, 2)}`, () => {
      const value = parse(hex(bytes));
      assert.ok(value instanceof Uint8Array);
      assert.deepEqual([...value], [1, 2]);
    });
  }

  const list = (...items: PickleValue[]): PickleValue => ({ kind: 'list', items });
  const tuple = (...items: PickleValue[]): PickleValue => ({ kind: 'tuple', items });
  const structures: readonly (readonly [string, string, PickleValue])[] = [
    ['EMPTY_TUPLE', '29', tuple()],
    ['TUPLE1, 2, 3', '4b01 85 4b02 86 4b03 4b04 87', tuple(tuple(tuple(1), 2), 3, 4)],
    ['TUPLE', '28 4b01 4b02 74', tuple(1, 2)],
    ['APPEND and APPENDS', '5d 4b01 61 28 4b02 4b03 65', list(1, 2, 3)],
    ['LIST', '28 4b01 6c', list(1)],
    ['a set', '8f 28 4b01 90', list(1)],
    ['FROZENSET', '28 4b01 91', list(1)],
    [
      'SETITEM and SETITEMS',
      '7d 4b01 4b02 73 28 4b03 4b04 75',
      {
        kind: 'dict',
        entries: [
          [1, 2],
          [3, 4],
        ],
      },
    ],
    ['DICT', '28 4b01 4b02 64', { kind: 'dict', entries: [[1, 2]] }],
    ['BINPUT, BINGET', '4b07 7105 6805 86', tuple(7, 7)],
    ['LONG_BINPUT, LONG_BINGET', '4b07 7200010000 6a00010000 86', tuple(7, 7)],
    ['MEMOIZE', '4b07 94 4b08 94 6800 87', tuple(7, 8, 7)],
    ['POP, DUP, POP_MARK, FRAME', '95 0000000000000000 4b01 4b02 30 32 28 4b03 31 86', tuple(1, 1)],
    ['BINPERSID', '4b01 51', { kind: 'persistent', id: 1 }],
    ['STACK_GLOBAL', '8c0161 8c0162 93', { kind: 'global', name: 'a.b' }],
  ];
  for (const [name, bytes, expected] of structures) {
    it(`reads ${name}`, () => {
      assert.deepEqual(parse(hex(bytes)), expected);
    });
  }

  for (const [name, ending, args] of [
    ['REDUCE', '52', [1]],
    ['NEWOBJ', '81', [1]],
    ['NEWOBJ_EX', '7d 92', [1, { kind: 'dict', entries: [] }]],
  ] as const) {
    it(`notes a call and makes none: ${name}`, () => {
      const value = parse(op.global('posix', 'system'), hex('4b01 85'), hex(ending), op.emptyDict, op.build);
      const callee = { kind: 'global', name: 'posix.system' };
      assert.deepEqual(value, { kind: 'call', callee, args, items: [], entries: [], state: { kind: 'dict', entries: [] } });
    });
  }

  it('keeps what is set on and appended to an object', () => {
    const value = parse(
      op.global('collections', 'OrderedDict'),
      op.emptyTuple,
      op.reduce,
      hex('4b01 4b02 73 28 4b03 4b04 75 4b05 61'),
    );
    assert.deepEqual(mappingEntries(value), [
      [1, 2],
      [3, 4],
    ]);
  });

  it('reads an OrderedDict made from pairs, and takes the last of repeated keys', () => {
    const pairs = Buffer.concat([op.mark, op.text('a'), op.int(1), op.tuple]);
    const value = parse(
      op.global('collections', 'OrderedDict'),
      hex('5d'),
      pairs,
      hex('61 85'),
      op.reduce,
      op.text('a'),
      op.int(2),
      Buffer.from('s'),
    );
    assert.equal(mappingGet(value, 'a'), 2);
    assert.equal(mappingEntries(parse(commandPickle('true'))), undefined);
  });

  it('names the global that stands for a value', () => {
    assert.match(describeValue(parse(commandPickle('true'))), /posix\.system/);
    assert.match(describeValue(parse(op.global('builtins', 'eval'))), /builtins\.eval/);
  });

  const refused: readonly (readonly [string, Buffer])[] = [
    ['nothing', Buffer.alloc(0)],
    ['no end', hex('80024e')],
    ['an empty stack', hex('80022e')],
    ['protocol 1', hex('80014e2e')],
    ['protocol 6', hex('80064e2e')],
    ['a text opcode', pickleOf(Buffer.from("S'x'\n"))],
    ['INST', pickleOf(Buffer.from('(iposix\nsystem\n'))],
    ['an extension code', pickleOf(hex('8201'))],
    ['an out-of-band buffer', pickleOf(hex('97'))],
    ['an opcode that does not exist', pickleOf(hex('ff'))],
    ['a memo entry never stored', pickleOf(hex('6803'))],
    ['a pop through a mark', pickleOf(hex('4b01 28 30'))],
    ['no mark', pickleOf(hex('4b01 74'))],
    ['too few values for a tuple', pickleOf(hex('4b01 87'))],
    ['a key without a value', pickleOf(hex('7d 28 4b01 75'))],
    ['an append to a number', pickleOf(hex('4b01 4b02 61'))],
    ['an item set on a list', pickleOf(hex('5d 4b01 4b02 73'))],
    ['a state set on a list', pickleOf(hex('5d 4e 62'))],
    ['a call without a tuple', pickleOf(op.global('a', 'b'), op.none, op.reduce)],
    ['a global of numbers', pickleOf(hex('4b01 4b02 93'))],
    ['a global without end of line', pickleOf(Buffer.from(`c${'a'.repeat(5000)}`))],
    ['text longer than the file', pickleOf(sized(0x58, Buffer.from('a'), 0xffffffff))],
    ['bytes of 2^63', pickleOf(hex('8e ffffffffffffff7f 00'))],
    ['text that is not UTF-8', pickleOf(sized(0x58, hex('ff')))],
    ['an integer of a million digits', pickleOf(hex('8b 00000010'), Buffer.alloc(1000))],
    ['a negative long length', pickleOf(hex('8b ffffffff'))],
  ];
  for (const [name, bytes] of refused) {
    it(`is refused: ${name}`, () => {
      assertBundleError(() => parsePickle(bytes, 'data.pkl'), 'data.pkl');
    });
  }

  it('may nest deeply without harm', () => {
    assert.equal(describeValue(parse(Buffer.alloc(200_000, ']'), Buffer.alloc(199_999, 'a'))), 'a list');
  });

  it('is refused beyond a million steps, whatever they would build', () => {
    assertBundleError(() => parse(Buffer.alloc(1_100_000, ']')), 'data.pkl');
    const memoBomb = Buffer.concat(Array.from({ length: 600_000 }, () => hex('32 30')));
    assertBundleError(() => parse(op.none, memoBomb), 'data.pkl');
  });

  it('does not multiply what refers to itself many times', () => {
    // Each level holds the one before it ten times: 10^20 leaves if anything copied them.
    const level = Buffer.concat([hex('71 00 30 28'), ...Array.from({ length: 10 }, () => hex('68 00')), op.tuple]);
    assert.equal(describeValue(parse(op.none, ...Array.from({ length: 20 }, () => level))), 'a tuple');
  });
});
