import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ConfigError, EnvReader } from '../../../infra/process/env.ts';

describe('environment', () => {
  it('gives defaults for what is unset or empty', () => {
    const reader = new EnvReader({ EMPTY: '' });
    for (const name of ['EMPTY', 'ABSENT']) {
      assert.deepEqual(
        [
          reader.text(name, 'x'),
          reader.integer(name, 7, 0, 9),
          reader.flag(name, true),
          reader.oneOf(name, 'a', ['a', 'b']),
          reader.list(name, ['q']),
        ],
        ['x', 7, true, 'a', ['q']],
      );
    }
    assert.deepEqual(reader.finish({ a: 1 }), { a: 1 });
  });

  it('reads what is set', () => {
    const reader = new EnvReader({ T: 'text', I: '9', F: 'FALSE', G: '1', O: 'b', L: ' a, ,b,' });
    assert.deepEqual(
      [
        reader.text('T', undefined),
        reader.integer('I', 0, 0, 9),
        reader.flag('F', true),
        reader.flag('G', false),
        reader.oneOf('O', 'a', ['a', 'b']),
        reader.list('L', []),
      ],
      ['text', 9, false, true, 'b', ['a', 'b']],
    );
    reader.finish({});
  });

  it('reports all problems at once, each naming its variable', () => {
    const reader = new EnvReader({ A: '12x', B: '10', C: 'yes', D: 'z', E: '-1', F: '1.5', G: ' 3', H: '1e3' });
    for (const name of ['A', 'B', 'E', 'F', 'G', 'H']) {
      reader.integer(name, 1, 0, 9);
    }
    reader.flag('C', false);
    reader.oneOf('D', 'a', ['a']);
    reader.problem('X: own');
    assert.throws(
      () => reader.finish({}),
      (error) =>
        error instanceof ConfigError &&
        ['A', 'B', 'E', 'F', 'G', 'H', 'C', 'D', 'X'].every((name, index) => error.problems[index]?.startsWith(`${name}: `)) &&
        error.problems.length === 9 &&
        error.problems.every((problem) => error.message.includes(problem)),
    );
  });

  it('freezes the settings', () => assert.equal(Object.isFrozen(new EnvReader({}).finish({ a: 1 })), true));
});
