import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createServedSet, isServedModel } from '../../../proto/wire/served-set.ts';
import { asAlias, asModel } from '../../support/made-version.ts';

for (const [models, model, isServed] of [
  [['*'], 'CLS_GMM_Graphene', true],
  [['**'], 'CLS_GMM_Graphene', true],
  [['CLS_GMM_Graphene'], 'CLS_GMM_Graphene', true],
  [['CLS_GMM_Graphene'], 'CLS_GMM_GrapheneH', false],
  [['CLS_GMM_GrapheneH'], 'CLS_GMM_Graphene', false],
  [['CLS_GMM_Graphene'], 'XCLS_GMM_Graphene', false],
  [['CLS_GMM_Graphene*'], 'CLS_GMM_Graphene', true],
  [['CLS_*'], 'CLS_GMM_Graphene', true],
  [['CLS_*'], 'SEG_M2F', false],
  [['*_GMM_*'], 'CLS_GMM_Graphene', true],
  [['*_GMM_*'], 'CLS_AMM_Graphene', false],
  [['*aab'], 'aaab', true],
  [['a*b*a'], 'abbab', false],
  [['a.b'], 'axb', false],
  [['a.b'], 'a.b', true],
  [['SEG_*', 'CLS_*'], 'CLS_GMM', true],
  [[''], 'CLS_GMM', false],
  [[], 'CLS_GMM', false],
] as const) {
  test(`[${models.join(', ')}] ${isServed ? 'has' : 'has not'} ${model}`, () => {
    assert.equal(createServedSet({ models, aliases: ['production'] })(asModel(model), asAlias('production')), isServed);
  });
}

test('an alias has to be named as it is', () => {
  const isServed = createServedSet({ models: ['*'], aliases: ['production', 'canary'] });
  assert.deepEqual(
    ['production', 'canary', 'can', 'staging'].map((alias) => isServed(asModel('M'), asAlias(alias))),
    [true, true, false, false],
  );
});

test('a pattern made to be slow is not: as a regular expression this one would outlive the test run', () => {
  const hardlyMissed = asModel('a'.repeat(127));
  assert.equal(isServedModel([`${'*a'.repeat(100)}*b`], hardlyMissed), false);
});
