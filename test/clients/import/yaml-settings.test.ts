import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MAX_SETTINGS_BYTES, YamlSettings } from '../../../clients/import/yaml-settings.ts';
import { assertBundleError } from '../../support/bundle-errors.ts';

const settingsOf = (text: string): YamlSettings => new YamlSettings(Buffer.from(text), 'config.yaml');

describe('settings in YAML', () => {
  it('are found by dotted keys, through anchors and aliases', () => {
    const yaml = settingsOf('A: {B: &id001 [1, 2.5e-05, null], C: *id001}\n"D.E": 1\nF: 0x10\nG: ~\n');
    assert.deepEqual(
      ['A.B', 'A.C', 'D.E', 'F', 'G', 'A.X', 'A.B.length', 'A.toString', '__proto__.x'].map((key) => yaml.find(key)),
      [[1, 2.5e-5, null], [1, 2.5e-5, null], undefined, 16, null, undefined, undefined, undefined, undefined],
    );
  });

  it('hold what an unknown tag stands before, and make nothing of the tag', () => {
    assert.deepEqual(settingsOf('A: !!python/tuple [1, 2]\n').find('A'), [1, 2]);
    assert.equal(settingsOf('A: !!python/object/apply:os.system x\n').find('A'), 'x');
  });

  it('collect what is wrong with the values asked for', () => {
    const yaml = settingsOf('A: 1.5\nB: [1, x]\nC: name\nD: {}\nE: "yes"\nF: [res2, res4]\n');
    assert.equal(yaml.integer('A', 2, 9), 2);
    assert.equal(yaml.integer('X', 2, 9), 2);
    assert.deepEqual(
      yaml.numbers('B', 2, () => true, 'numbers'),
      [1, 1],
    );
    assert.equal(yaml.oneOf('C', ['other']), 'other');
    assert.equal(yaml.oneOf('D', [1]), 1);
    assert.equal(yaml.boolean('E'), false);
    yaml.sameItems('F', ['res2', 'res3']);
    yaml.sameItems('C', ['res2']);
    assert.deepEqual(yaml.malformed, [
      'A: expected a whole number from 2 to 9, found 1.5',
      'X: expected a whole number from 2 to 9, found nothing',
      'B: expected 2 numbers, found [1, "x"]',
      'D: expected 1, found a mapping',
      'E: expected true or false, found "yes"',
      'C: expected a list, found "name"',
    ]);
    assert.deepEqual(yaml.unsupported, [
      'C: expected "other", found "name"',
      'F: expected ["res2", "res3"], found ["res2", "res4"]',
    ]);
  });

  it('have each key of a mapping once, and not more keys than anybody needs', () => {
    for (const text of ['A: 1\nB: {C: 1, D: 2, C: 3}\n', '? A\n: 1\n? A\n', '0x10: 1\n16: 2\n', '{a, b, a}\n']) {
      assert.match(
        assertBundleError(() => settingsOf(text), 'config.yaml'),
        /unique/,
      );
    }
    const keys = (count: number): string => Array.from({ length: count }, (_, at) => `k${at}:`).join('\n');
    assert.equal(settingsOf(keys(2000)).find('k1'), null);
    assert.match(
      assertBundleError(() => settingsOf(keys(9_000)), 'config.yaml'),
      /9000 keys/,
    );
  });

  it('may hold themselves, which is looked at no deeper than needed', () => {
    const yaml = settingsOf('A: &a [*a, x]\nB: &b {C: *b}\n');
    yaml.sameItems('A', ['x']);
    yaml.integer('B', 0, 1);
    assert.deepEqual(yaml.unsupported, ['A: expected ["x"], found [a list, "x"]']);
    assert.deepEqual(yaml.malformed, ['B: expected a whole number from 0 to 1, found a mapping']);
    assert.notEqual(yaml.find('B.C.C.C'), undefined);
  });

  it('have numbers as single precision has them', () => {
    const yaml = settingsOf('A: [0.1, 1e-60, 3]\n');
    assert.deepEqual(
      yaml.numbers('A', 3, () => true, 'numbers'),
      [Math.fround(0.1), 0, 3],
    );
    yaml.numbers('A', 3, (value) => value > 0, 'numbers above 0');
    assert.equal(yaml.malformed.length, 1);
  });

  const aliases = (depth: number): string =>
    ['a0: &a0 [x, x, x, x, x, x, x, x, x, x]']
      .concat(Array.from({ length: depth }, (_, at) => `a${at + 1}: &a${at + 1} [${Array(10).fill(`*a${at}`).join(', ')}]`))
      .join('\n');
  const refused: readonly (readonly [string, Uint8Array])[] = [
    ['no mapping', Buffer.from('- 1\n- 2\n')],
    ['a word', Buffer.from('hello')],
    ['nothing', Buffer.from('')],
    ['broken YAML', Buffer.from('a: [1, 2\nb: }')],
    ['a key twice', Buffer.from('a: 1\na: 2\n')],
    ['bytes that are not UTF-8', Buffer.from([0x61, 0x3a, 0x20, 0xff, 0xfe])],
    ['aliases that multiply', Buffer.from(aliases(8))],
    ['an alias of nothing', Buffer.from('a: *b\n')],
    ['nesting without end', Buffer.from(`a: ${'['.repeat(30_000)}`)],
    ['nesting that is closed', Buffer.from(`a: ${'['.repeat(30_000)}${']'.repeat(30_000)}`)],
    ['nested lists on one line', Buffer.from(`a:\n  ${'- '.repeat(30_000)}x`)],
    ['nested mappings', Buffer.from(Array.from({ length: 300 }, (_, depth) => `${' '.repeat(depth)}a:`).join('\n'))],
    ['nested keys', Buffer.from(`${'? '.repeat(30_000)}x`)],
    ['too many bytes', Buffer.from(`a: ${'x'.repeat(MAX_SETTINGS_BYTES)}`)],
    ['thousands of keys', Buffer.from(Array.from({ length: 8000 }, () => 'k: 1').join('\n'))],
  ];
  for (const [name, bytes] of refused) {
    it(`are refused: ${name}`, () => {
      assertBundleError(() => new YamlSettings(bytes, 'config.yaml'), 'config.yaml');
    });
  }
});
