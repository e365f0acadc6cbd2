import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { JsonObject, type JsonValue, parseLooseJson } from '../../../clients/import/loose-json.ts';
import { assertBundleError } from '../../support/bundle-errors.ts';

const parse = (text: string): JsonValue => parseLooseJson(Buffer.from(text), 'x.json');

/** Objects as entry lists, which keep order and repeated keys. */
function plain(value: JsonValue): unknown {
  if (value instanceof JsonObject) {
    return value.entries.map(([key, item]) => [key, plain(item)]);
  }
  return Array.isArray(value) ? value.map(plain) : value;
}

describe('loose JSON', () => {
  const texts: readonly string[] = [
    'null',
    'true',
    ' [ ] ',
    '{"a": {"b": [1, -2.5, 1e3, 0, -0, 1E-2]}}',
    '"\\u00e9\\n\\"\\\\\\/ \u{1F600}"',
    '[[],{},"",0.1]',
  ];
  for (const text of texts) {
    it(`reads ${text} as JSON.parse does`, () => {
      const asEntries = (value: unknown): unknown => {
        if (Array.isArray(value)) {
          return value.map(asEntries);
        }
        return typeof value === 'object' && value !== null
          ? Object.entries(value).map(([key, item]) => [key, asEntries(item)])
          : value;
      };
      assert.deepEqual(plain(parse(text)), asEntries(JSON.parse(text)));
    });
  }

  it('reads the number words of Python outside strings only', () => {
    assert.deepEqual(plain(parse('{"final": Infinity, "best": -Infinity, "x": NaN, "s": "Infinity NaN"}')), [
      ['final', Number.POSITIVE_INFINITY],
      ['best', Number.NEGATIVE_INFINITY],
      ['x', Number.NaN],
      ['s', 'Infinity NaN'],
    ]);
  });

  it('keeps the order of the file, repeated keys and names of Object.prototype', () => {
    const value = parse('{"4": 1, "1": 2, "__proto__": 3, "4": 5, "toString": 6}');
    assert.deepEqual(plain(value), [
      ['4', 1],
      ['1', 2],
      ['__proto__', 3],
      ['4', 5],
      ['toString', 6],
    ]);
    assert.ok(value instanceof JsonObject);
    assert.equal(value.get('4'), 5);
    assert.equal(value.get('constructor'), undefined);
    assert.equal(Reflect.get({}, 'x'), undefined);
  });

  const refused: readonly string[] = [
    '',
    '{',
    '[1,]',
    '{"a" 1}',
    "{'a': 1}",
    '{"a": 1,}',
    '01',
    '.5',
    '1.',
    '+1',
    '-',
    'Infinit',
    '"a',
    '"a\nb"',
    '"\\x41"',
    '"\\u12"',
    '1 2',
    'nul',
    '[NaN',
    `${'['.repeat(100)}${']'.repeat(100)}`,
    '['.repeat(1_000_000),
  ];
  for (const text of refused) {
    it(`refuses ${text.slice(0, 20)}`, () => {
      assertBundleError(() => parse(text), 'x.json');
    });
  }

  it('refuses bytes that are not UTF-8', () => {
    assertBundleError(() => parseLooseJson(Uint8Array.of(0x22, 0xff, 0x22), 'x.json'), 'x.json');
  });
});
