import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  asAliasName,
  asModelName,
  formatReference,
  isReservedAlias,
  parseModelName,
  parseModelReference,
} from '../../../proto/wire/names.ts';
import { hasViolationAt } from '../../support/service-errors.ts';

describe('names', () => {
  for (const name of ['A', '0', 'SEG_M2F_GrapheneH', 'a.b-c_d', 'a..b', `a${'b'.repeat(127)}`]) {
    it(`model ${name.slice(0, 20)}`, () => assert.equal(parseModelName(name, 'model'), name));
  }

  for (const name of [
    '',
    '.',
    '..',
    '.a',
    '-a',
    '_a',
    'a/b',
    'a\\b',
    'a b',
    'a\n',
    'ä',
    'a:1',
    'a@b',
    'a\0',
    `a${'b'.repeat(128)}`,
  ]) {
    it(`no model ${JSON.stringify(name.slice(0, 20))}`, () => {
      assert.equal(asModelName(name), undefined);
      assert.throws(() => parseModelName(name, 'version.model'), hasViolationAt('INVALID_REQUEST', 'version.model'));
    });
  }

  for (const alias of ['production', 'canary', 'v', 'v1a', 'version1', 'latest-1', 'a.b_c-1', '1', 'a'.repeat(64)]) {
    it(`alias ${alias.slice(0, 20)}`, () => assert.equal(asAliasName(alias), alias));
  }

  for (const alias of ['', 'Production', 'latest', 'v1', 'v007', '-a', 'a/b', 'a\n', 'latest\n', 'a'.repeat(65)]) {
    it(`no alias ${JSON.stringify(alias.slice(0, 20))}`, () => assert.equal(asAliasName(alias), undefined));
  }

  it('reserved aliases are told from wrong ones, in any case', () => {
    assert.deepEqual(['latest', 'LATEST', 'v1', 'V12'].map(isReservedAlias), [true, true, true, true]);
    assert.deepEqual(['v', 'v1a', 'production', ''].map(isReservedAlias), [false, false, false, false]);
  });

  const references: Readonly<Record<string, unknown>> = {
    'M@canary': { model: 'M', selector: { kind: 'alias', alias: 'canary' } },
    'M:1': { model: 'M', selector: { kind: 'version', version: 1 } },
    'M:4294967295': { model: 'M', selector: { kind: 'version', version: 0xffff_ffff } },
    'M@latest': { model: 'M', selector: { kind: 'latest' } },
  };
  for (const [text, reference] of Object.entries(references)) {
    it(`reference ${text}`, () => {
      assert.deepEqual(parseModelReference(text, 'model'), reference);
      assert.equal(formatReference(parseModelReference(text, 'model')), text);
    });
  }

  it('a bare name means production', () => {
    assert.equal(formatReference(parseModelReference('M', 'model')), 'M@production');
  });

  for (const text of [
    '',
    '@production',
    ':1',
    'M@',
    'M:',
    'M:0',
    'M:01',
    'M:-1',
    'M:1.5',
    'M:1e3',
    'M:4294967296',
    'M:v1',
    'M@v1',
    'M@LATEST',
    'M@a@b',
    'M:1:2',
    'M@a\n',
    'M\n:1',
    ' M',
  ]) {
    it(`no reference ${JSON.stringify(text)}`, () => {
      assert.throws(() => parseModelReference(text, 'pipeline.model'), hasViolationAt('INVALID_REQUEST', 'pipeline.model'));
    });
  }
});
