import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { deflateSync, gzipSync } from 'node:zlib';
import { importBundle } from '../../../clients/import/import-bundle.ts';
import { parseShapeModel } from '../../../clients/import/import-l2.ts';
import { assertBundleError, rejectsBundle } from '../../support/bundle-errors.ts';
import { collect } from '../../support/bundle-files.ts';
import { type JoblibWriter, type L2Model, PUBLISHED_L2, writeJoblib } from '../../support/bundle-joblib.ts';
import { MemorySource } from '../../support/bundle-memory-source.ts';
import { seededRandom } from '../../support/bundle-models.ts';
import { commandPickle, op, pickleOf } from '../../support/bundle-pickle.ts';
import { runGraph } from '../../support/bundle-run.ts';

const { signal } = new AbortController();
const FILE = 'model.joblib';

function importModel(bytes: Uint8Array) {
  return importBundle(new MemorySource({ [FILE]: bytes }), { signal });
}

/** The probabilities that the graph of this dump gives. */
async function probabilities(bytes: Uint8Array, features: readonly number[]): Promise<Float64Array> {
  const [file] = (await importModel(bytes)).files;
  const graph = file === undefined ? assert.fail('no file') : await collect(file.read());
  const { probability } = await runGraph(graph, 'features', Float64Array.from(features), [features.length / 2, 2]);
  return probability?.data instanceof Float64Array ? probability.data : assert.fail('no probability');
}

describe('an L2 bundle', () => {
  it('gives the published check values', async () => {
    const real = await probabilities(
      writeJoblib(PUBLISHED_L2),
      [6.52388704376411, 0.5407407407407407, 3.885618048935585, 0.9473684210526315],
    );
    assert.deepEqual(
      [...real].map((value) => (1 - value).toFixed(3)),
      ['0.295', '0.021'],
    );
  });

  it('gives the probabilities of the formula, of the class 1 whichever place it has', async () => {
    const random = seededRandom(3);
    for (const classes of [
      [0, 1],
      [1, 0],
    ]) {
      const model: L2Model = { classes, coefficients: [random() * 4, random() * 4], intercept: random() * 4 };
      const features = Array.from({ length: 200 }, () => random() * 20);
      const found = await probabilities(writeJoblib(model), features);
      found.forEach((value, at) => {
        const [a = 0, b = 0] = model.coefficients;
        const z = a * (features[2 * at] ?? 0) + b * (features[2 * at + 1] ?? 0) + model.intercept;
        const ofSecond = 1 / (1 + Math.exp(-z));
        const expected = classes[1] === 1 ? ofSecond : 1 - ofSecond;
        assert.ok(Math.abs(value - expected) < 1e-12, `${value} instead of ${expected}`);
      });
    }
  });

  it('keeps to 0 and 1 at the ends', async () => {
    const steep = { classes: [0, 1], coefficients: [1000, 0], intercept: 0 };
    assert.deepEqual([...(await probabilities(writeJoblib(steep), [10, 0, -10, 0]))], [1, 0]);
  });

  const layouts: readonly (readonly [string, JoblibWriter])[] = [
    ['int64 classes', { classType: 'i8' }],
    ['classes of one byte', { classType: 'u1' }],
    ['boolean classes', { classType: 'b1' }],
    ['no alignment, as older joblib', { alignment: undefined }],
    ['another alignment', { alignment: 64 }],
    ['big-endian arrays', { byteOrder: '>' }],
    ['Fortran order', { order: 'F' }],
    ['protocol 2', { protocol: 2 }],
    ['protocol 5', { protocol: 5 }],
    [
      'an older scikit-learn',
      { modelModule: 'sklearn.linear_model.logistic', wrapperModule: 'sklearn.externals.joblib.numpy_pickle' },
    ],
    ['no multi_class', { extra: { multi_class: op.none } }],
    ['a NumPy scalar among its settings', { extra: { C: numpyScalar() } }],
  ];
  for (const [name, writer] of layouts) {
    it(`is read in every layout: ${name}`, () => {
      assert.deepEqual(parseShapeModel(writeJoblib(PUBLISHED_L2, writer), FILE), PUBLISHED_L2);
    });
  }

  it('is read in single precision', () => {
    const half = { classes: [1, 0], coefficients: [-0.5, 2.25], intercept: 1.5 };
    assert.deepEqual(parseShapeModel(writeJoblib(half, { floatType: 'f4' }), FILE), half);
  });

  it('is a shape classifier by its manifest, and the same bytes each time', async () => {
    const { family, kind, manifest } = await importModel(writeJoblib(PUBLISHED_L2));
    assert.deepEqual([family, kind, manifest.contract, manifest.classes], ['L2', 'postprocessing', 'shape-classifier.v1', []]);
    assert.deepEqual(manifest.graph.inputs, [{ name: 'features', type: 'float64', shape: ['N', 2] }]);
    assert.deepEqual((await importModel(writeJoblib(PUBLISHED_L2))).manifest, manifest);
  });

  const plain = writeJoblib(PUBLISHED_L2);
  for (const [name, bytes] of [
    ['zlib', deflateSync(plain)],
    ['gzip', gzipSync(plain)],
    ['bz2', Buffer.from('BZh91AY')],
    ['xz', Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00])],
    ['lzma', Buffer.from([0x5d, 0x00, 0x00])],
    ['lz4', Buffer.from([0x04, 0x22, 0x4d, 0x18])],
    ['ZF', Buffer.from('ZF0x100')],
  ] as const) {
    it(`is refused by name where it is compressed: ${name}`, async () => {
      assert.match(await rejectsBundle(importModel(bytes), FILE, 'UNSUPPORTED_MODEL'), /compressed with/);
    });
  }

  const hostile = op.tupleOf(commandPickle('true'));
  const refused: readonly (readonly [string, Buffer, RegExp])[] = [
    ['nothing', Buffer.alloc(0), /needs 1 more bytes/],
    ['a command for a model', pickleOf(commandPickle('true')), /posix\.system/],
    ['a command beside the model', writeJoblib(PUBLISHED_L2, { extra: { C: hostile } }), /posix\.system/],
    ['another kind of model', writeJoblib(PUBLISHED_L2, { modelModule: 'sklearn.svm' }), /sklearn\.svm\.LogisticRegression/],
    ['a plain number', pickleOf(op.int(1)), /LogisticRegression, found a number/],
    ['an array alone', arrayAlone(), /found a call of joblib/],
    ['no coef_', writeJoblib(PUBLISHED_L2, { without: ['coef_'] }), /coef_: expected an array, found nothing/],
    ['coef_ of two rows', writeJoblib(PUBLISHED_L2, { shapes: { coef_: [2, 1] } }), /coef_: .*found \(2, 1\) of f8/],
    [
      'coef_ of three features',
      writeJoblib({ ...PUBLISHED_L2, coefficients: [1, 2, 3] }, { shapes: { coef_: [1, 3] } }),
      /\(1, 3\)/,
    ],
    ['text for coef_', writeJoblib(PUBLISHED_L2, { types: { coef_: 'S8' } }), /found \(1, 2\) of S8/],
    ['classes of 1 and 2', writeJoblib({ ...PUBLISHED_L2, classes: [1, 2] }), /found 1, 2/],
    ['three classes', writeJoblib({ ...PUBLISHED_L2, classes: [0, 1, 2] }, { shapes: { classes_: [3] } }), /\(3\)/],
    ['infinity', writeJoblib({ ...PUBLISHED_L2, intercept: Number.POSITIVE_INFINITY }), /finite/],
    ['an array beyond the file', writeJoblib(PUBLISHED_L2, { shapes: { n_iter_: [2 ** 40] } }), /more bytes/],
    ['an array of 2^120 elements', writeJoblib(PUBLISHED_L2, { shapes: { n_iter_: [2 ** 40, 2 ** 40, 2 ** 40] } }), /more bytes/],
    ['an array of negative size', writeJoblib(PUBLISHED_L2, { shapes: { n_iter_: [-1] } }), /tuple of sizes/],
    [
      'an array of rank 40',
      writeJoblib(PUBLISHED_L2, { shapes: { n_iter_: Array.from({ length: 40 }, () => 1) } }),
      /tuple of sizes/,
    ],
  ];
  for (const [name, bytes, message] of refused) {
    it(`is refused: ${name}`, async () => {
      assert.match(await rejectsBundle(importModel(bytes), FILE), message);
    });
  }

  for (const type of ['O8', 'V', 'O', '']) {
    it(`is refused with an array of "${type}"`, async () => {
      const bytes = writeJoblib(PUBLISHED_L2, { types: { n_iter_: type } });
      assert.match(await rejectsBundle(importModel(bytes), FILE, 'UNSUPPORTED_MODEL'), /plain numbers/);
    });
  }

  it('is refused with the probabilities of another formula', () => {
    const bytes = writeJoblib(PUBLISHED_L2, { extra: { multi_class: op.text('multinomial') } });
    assert.match(
      assertBundleError(() => parseShapeModel(bytes, FILE), FILE, 'UNSUPPORTED_MODEL'),
      /multinomial/,
    );
  });

  it('is refused when it is large, before it is read', async () => {
    const source = new MemorySource({ [FILE]: Buffer.alloc(2 * 1024 * 1024) });
    assert.match(await rejectsBundle(importBundle(source, { signal }), FILE), /at most/);
    assert.equal(source.readBytes.get(FILE), undefined);
  });

  it('is refused wherever it is cut off', () => {
    for (let length = 0; length < plain.byteLength; length += 1) {
      assertBundleError(() => parseShapeModel(plain.subarray(0, length), FILE), FILE);
    }
  });
});

/** `numpy.float64(1)` as NumPy pickles it. */
function numpyScalar(): Buffer {
  const type = Buffer.concat([op.global('numpy', 'dtype'), op.tupleOf(op.text('f8'), op.false, op.true), op.reduce]);
  const bytes = Buffer.concat([Buffer.from([0x43, 8]), Buffer.alloc(8)]);
  return Buffer.concat([op.global('numpy._core.multiarray', 'scalar'), op.tupleOf(type, bytes), op.reduce]);
}

/** A dump whose top level is the wrapper of an array, not a model. */
function arrayAlone(): Buffer {
  const wrapper = Buffer.concat([op.global('joblib.numpy_pickle', 'NumpyArrayWrapper'), op.emptyTuple, op.reduce]);
  return pickleOf(wrapper);
}
