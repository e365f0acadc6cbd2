import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseNpy } from '../../../clients/import/npy.ts';
import { assertBundleError } from '../../support/bundle-errors.ts';
import { type NpyWriter, toFortranOrder, writeNpy } from '../../support/bundle-npy.ts';

const SHAPE = [2, 3, 2];
const VALUES = Array.from({ length: 12 }, (_, index) => index * 0.25 - 1);

describe('a NumPy array', () => {
  const written: readonly (readonly [string, NpyWriter])[] = [
    ['float32', {}],
    ['float64', { descr: '<f8' }],
    ['the byte order of the machine', { descr: '=f4' }],
    ['no byte order', { descr: 'f8' }],
    ['format 2.0', { major: 2 }],
    ['format 3.0', { major: 3, descr: '<f8' }],
    ['Fortran order', { isFortranOrder: true }],
    ['other spacing, order and quotes', { header: '{"shape":(2,3,2),"descr":"<f4","fortran_order":False}' }],
    ["Python 2's long integers", { header: "{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 3L, 2L), }" }],
  ];
  for (const [name, writer] of written) {
    it(`is read: ${name}`, () => {
      const data = writer.isFortranOrder === true ? toFortranOrder(SHAPE, VALUES) : VALUES;
      const array = parseNpy(writeNpy(SHAPE, data, writer), 'a.npy');
      assert.deepEqual(array.shape, SHAPE);
      assert.deepEqual([...array.data], VALUES);
    });
  }

  it('is read from the middle of a larger buffer, and where it is empty or a scalar', () => {
    const bytes = writeNpy([3], [1, 2, 3]);
    const inside = Buffer.concat([Buffer.alloc(3), bytes]).subarray(3);
    assert.deepEqual([...parseNpy(inside, 'a.npy').data], [1, 2, 3]);
    assert.deepEqual(parseNpy(writeNpy([0, 4], []), 'a.npy').shape, [0, 4]);
    assert.deepEqual([...parseNpy(writeNpy([], [7]), 'a.npy').data], [7]);
  });

  for (const descr of ['|O', '<i8', '>f4', '<f2', '<c8', '<U3']) {
    it(`of type ${descr} is not supported`, () => {
      assert.match(
        assertBundleError(() => parseNpy(writeNpy([1], [1], { descr }), 'a.npy'), 'a.npy', 'UNSUPPORTED_MODEL'),
        /</,
      );
    });
  }

  it('of a later format is not supported', () => {
    const bytes = writeNpy([1], [1]);
    bytes[6] = 4;
    assertBundleError(() => parseNpy(bytes, 'a.npy'), 'a.npy', 'UNSUPPORTED_MODEL');
  });

  const dict = (shape: string): NpyWriter => ({ header: `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape}), }` });
  const refused: readonly (readonly [string, Buffer])[] = [
    ['other first bytes', Buffer.from('PK\u0003\u0004 and so on for a while')],
    ['nothing', Buffer.alloc(0)],
    [
      'a header longer than the file',
      Buffer.concat([Buffer.from('\u0093NUMPY', 'latin1'), Buffer.from([2, 0, 0xff, 0xff, 0xff, 0xff]), Buffer.alloc(50)]),
    ],
    ['less data than its shape', writeNpy([4], [1, 2, 3], dict('4,'))],
    ['more data than its shape', writeNpy([4], [1, 2, 3, 4, 5], dict('4,'))],
    ['an absurd shape', writeNpy([1], [1], dict('99999999999, 99999999999'))],
    ['a shape that overflows to what is there', writeNpy([1], [], dict('9223372036854775808, 2'))],
    ['a negative size', writeNpy([1], [1], dict('-1,'))],
    ['too many axes', writeNpy([1], [1], dict('1,'.repeat(40)))],
    ['no shape', writeNpy([1], [1], { header: "{'descr': '<f4', 'fortran_order': False}" })],
    ['a record type', writeNpy([1], [1], { header: "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}" })],
    ['code in place of the header', writeNpy([1], [1], { header: "__import__('os').system('true')" })],
    ['a header without end', writeNpy([1], [1], { header: "{'descr': '<f4', 'fortran_order': False, 'shape': (1,)" })],
  ];
  for (const [name, bytes] of refused) {
    it(`is refused: ${name}`, () => {
      assertBundleError(() => parseNpy(bytes, 'a.npy'), 'a.npy');
    });
  }
});
