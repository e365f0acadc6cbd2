import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { digestOf, refOf } from '../../../proto/wire/digest.ts';
import { asAliasName, asModelName } from '../../../proto/wire/names.ts';
import { type AliasState, checkRevision, promotion, rollback } from '../../../registry/model/alias.ts';
import { toChunkRanges } from '../../../registry/model/chunk-ranges.ts';
import { decodeCursor, encodeCursor } from '../../../registry/model/cursor.ts';
import { labelViolations, sortedLabels } from '../../../registry/model/labels.ts';
import { decodePageNumber, decodePageToken, encodePageToken } from '../../../registry/model/page-token.ts';
import { RequestCheck } from '../../../registry/model/request-check.ts';
import { hasViolationAt, isError } from '../../support/service-errors.ts';

describe('labels', () => {
  it('accept the documented form only', () => {
    for (const key of ['a', '0', 'material', 'lab.example/run-7_b', `a${'b'.repeat(62)}`]) {
      assert.deepEqual(labelViolations({ [key]: 'v'.repeat(255) }, 'labels'), [], key);
    }
    for (const key of ['', 'A', '-a', '.a', 'a b', 'ä', `a${'b'.repeat(63)}`]) {
      assert.deepEqual(
        labelViolations({ [key]: '' }, 'labels').map(({ field }) => field),
        [`labels.${key}`],
      );
    }
    const many = Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`k${index}`, '']));
    assert.deepEqual(
      labelViolations(many, 'labels').map(({ field }) => field),
      ['labels'],
    );
  });

  it('are the same in any order', () => {
    assert.deepEqual(sortedLabels({ b: '2', a: '1' }), sortedLabels({ a: '1', b: '2' }));
  });
});

describe('page tokens', () => {
  it('carry a position for one query', () => {
    const query = ['ListModels', [['a', 'b']]];
    assert.equal(decodePageToken(query, encodePageToken(query, 'position')), 'position');
    assert.equal(decodePageToken(query, ''), undefined);
    assert.throws(
      () => decodePageToken(['ListModels', []], encodePageToken(query, 'x')),
      hasViolationAt('INVALID_PAGE_TOKEN', 'page_token'),
    );
  });

  it('of a list by numbers carry numbers only', () => {
    assert.equal(decodePageNumber(['q'], encodePageToken(['q'], '12')), 12);
    assert.equal(decodePageNumber(['q'], ''), undefined);
    for (const position of ['', 'NaN', '-1', '0', '01', '1.5', '1e3', '9'.repeat(16)]) {
      assert.throws(
        () => decodePageNumber(['q'], encodePageToken(['q'], position)),
        isError('invalid-argument', 'INVALID_PAGE_TOKEN'),
      );
    }
  });

  it('take no other text', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (text) => {
        assert.throws(() => decodePageToken(['q'], text), isError('invalid-argument', 'INVALID_PAGE_TOKEN'));
      }),
      { seed: 1 },
    );
  });
});

describe('cursors', () => {
  it('carry a position of one store', () => {
    const position = { storeId: 'f3a1-b', sequence: 12 };
    assert.deepEqual(decodeCursor(encodeCursor(position)), position);
    assert.equal(decodeCursor(''), undefined);
  });

  it('take no other text', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), (text) => {
        assert.throws(() => decodeCursor(text), isError('invalid-argument', 'INVALID_CURSOR'));
      }),
      { seed: 1 },
    );
    for (const text of ['2.1.store', '1.-1.store', '1.01.store', '1.1.', '1.1.a b', '1.9999999999999999.s']) {
      assert.throws(
        () => decodeCursor(Buffer.from(text).toString('base64url')),
        isError('invalid-argument', 'INVALID_CURSOR'),
        text,
      );
    }
  });
});

it('ranges hold exactly their chunks', () => {
  assert.deepEqual(toChunkRanges([]), []);
  assert.deepEqual(toChunkRanges([5, 0, 1, 2, 7]), [
    { first: 0, count: 3 },
    { first: 5, count: 1 },
    { first: 7, count: 1 },
  ]);
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(50)), (indices) => {
      const held = toChunkRanges(indices).flatMap(({ first, count }) => Array.from({ length: count }, (_, at) => first + at));
      assert.deepEqual(
        held,
        indices.toSorted((a, b) => a - b),
      );
    }),
    { seed: 1 },
  );
});

describe('aliases', () => {
  const model = asModelName('m');
  const alias = asAliasName('production');
  assert.ok(model !== undefined && alias !== undefined);
  const move = { actor: { name: 'ada', isVerified: false }, reason: '', timeMs: 1 };
  const target = (version: number) => ({ model, alias, version, manifest: refOf(Buffer.from(`${version}`)) });

  it('undo any promotions one after another', () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.integer({ min: 1, max: 9 }), fc.constant('back' as const)), { maxLength: 40 }),
        (steps) => {
          const history = new Map<number, AliasState>();
          const undo: number[] = [];
          let current: AliasState | undefined;
          for (const step of steps) {
            if (step !== 'back') {
              current = promotion(current, target(step), move).state;
              undo.push(step);
            } else if (current !== undefined && current.backRevision > 0) {
              const earlier = history.get(current.backRevision);
              assert.ok(earlier !== undefined);
              current = rollback(current, earlier, move).state;
              undo.pop();
            } else {
              assert.ok(undo.length <= 1, 'a rollback was possible');
              continue;
            }
            history.set(current.revision, current);
            assert.equal(current.revision, history.size);
            assert.equal(current.version, undo.at(-1));
          }
        },
      ),
      { seed: 1 },
    );
  });

  it('never go back in time, whatever the clock of the registry that moves them', () => {
    const first = promotion(undefined, target(1), { ...move, timeMs: 100 }).state;
    const second = promotion(first, target(2), { ...move, timeMs: 40 }).state;
    const third = rollback(second, first, { ...move, timeMs: 99 }).state;
    assert.deepEqual([second.updateTimeMs, third.updateTimeMs], [100, 100]);
    assert.equal(promotion(third, target(2), { ...move, timeMs: 101 }).state.updateTimeMs, 101);
  });

  it('compare revisions', () => {
    const { state } = promotion(undefined, target(1), move);
    for (const expected of [undefined, 1]) {
      checkRevision(state, expected, 'm@production');
    }
    checkRevision(undefined, 0, 'm@production');
    for (const [current, expected] of [
      [state, 0],
      [state, 2],
      [undefined, 1],
    ] as const) {
      assert.throws(() => checkRevision(current, expected, 'm@production'), isError('aborted', 'REVISION_CONFLICT'));
    }
  });
});

describe('request checks', () => {
  it('collect every violation', () => {
    const check = new RequestCheck();
    assert.equal(check.modelName('a b', 'model'), undefined);
    assert.equal(check.version(0, 'version'), undefined);
    assert.equal(check.version(2 ** 32, 'version'), undefined);
    assert.equal(check.blob({ digest: 'x', sizeBytes: 2 ** 53 }, 'blob'), undefined);
    assert.equal(check.bytes(-1, 'offset_bytes'), undefined);
    check.pageSize(1001, 'page_size');
    check.text('xx', 'reason', 1);
    assert.throws(
      () => check.throwIfBad(),
      hasViolationAt(
        'INVALID_REQUEST',
        'model',
        'version',
        'version',
        'blob.digest',
        'blob.size_bytes',
        'offset_bytes',
        'page_size',
        'reason',
      ),
    );
  });

  it('let good values through', () => {
    const check = new RequestCheck();
    const ref = { digest: digestOf(Buffer.alloc(0)), sizeBytes: 0 };
    assert.deepEqual(
      [
        check.modelName('M', 'm'),
        check.newAliasName('a', 'a'),
        check.version(1, 'v'),
        check.blob(ref, 'b'),
        check.pageSize(0, 'p'),
      ],
      ['M', 'a', 1, ref, 100],
    );
    check.throwIfBad();
  });

  it('give a reserved alias its own reason when nothing else is wrong', () => {
    const alone = new RequestCheck();
    alone.newAliasName('v1', 'alias');
    assert.throws(() => alone.throwIfBad(), hasViolationAt('RESERVED_ALIAS', 'alias'));
    const more = new RequestCheck();
    more.newAliasName('v1', 'alias');
    more.version(0, 'version');
    assert.throws(() => more.throwIfBad(), hasViolationAt('INVALID_REQUEST', 'alias', 'version'));
  });
});
