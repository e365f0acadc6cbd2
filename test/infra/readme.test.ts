import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { unknownVariables } from '../../clients/cli/serve-settings.ts';
import { repositoryRoot } from '../support/reference-data.ts';

const text = readFileSync(join(repositoryRoot, 'infra', 'README.md'), 'utf8');

it('the settings on AWS are settings that the services read, and none that concerns AWS is left out', () => {
  const named = [...tableOf('variable').keys()].flatMap((cell) =>
    [...cell.matchAll(/`([A-Z0-9_]+)`/g)].map(([, name = '']) => name),
  );
  assert.deepEqual(unknownVariables(Object.fromEntries(named.map((name) => [name, 'x']))), []);
  const config = readFileSync(join(repositoryRoot, 'registry', 'config.ts'), 'utf8');
  const ofAws = new Set(config.match(/\b(?:MODELS|AWS)_[A-Z0-9_]+\b/g) ?? []);
  assert.equal(ofAws.size >= 8, true);
  assert.deepEqual(
    [...ofAws].filter((name) => !named.includes(name)),
    [],
  );
});

it('the costs are what their formulas give, at the prices that are assumed', () => {
  const costs = [...tableOf('what').values()].filter((cells) => cells.length === 2);
  assert.equal(costs.length, 12);
  for (const [formula = '', stated = ''] of costs) {
    assert.equal(stated, evaluate(formula.replaceAll(' GB', '')).toFixed(4), formula);
  }
  const used = new Set(costs.flatMap(([formula]) => formula?.match(/[\d.]+/g) ?? []).map(Number));
  const prices = [...tableOf('price').values()].map(([price]) => Number(price));
  assert.equal(prices.length, 10);
  assert.deepEqual(
    prices.filter((price) => !used.has(price)),
    [],
  );
});

it('a formula with anything but arithmetic in it is no formula', () => {
  assert.equal(evaluate('(4 x (2 x 41 + 7) + 20 x 7) x 0.005 / 1000'), 0.00248);
  for (const wrong of ['', '1 x', '(1', '1 plus 2', '1 2', 'x']) {
    assert.throws(() => evaluate(wrong), assert.AssertionError);
  }
});

/** The rows of the table whose first heading this is, by their first cell. */
function tableOf(heading: string): Map<string, string[]> {
  const rows = new RegExp(`\\n\\| ${heading} .*\\n\\|[ |-]+\\n((?:\\|.*\\n)+)`).exec(text)?.[1] ?? '';
  return new Map(
    rows
      .trim()
      .split('\n')
      .map((line) => {
        const [first = '', ...rest] = line
          .split('|')
          .slice(1, -1)
          .map((cell) => cell.trim());
        return [first, rest];
      }),
  );
}

/** Sums, products and quotients; `x` multiplies. */
function evaluate(formula: string): number {
  const tokens = formula.match(/[\d.]+|[-+x/()]|\S+/g) ?? [];
  const atom = (): number => {
    const token = tokens.shift();
    if (token === '(') {
      const value = sum();
      assert.equal(tokens.shift(), ')', formula);
      return value;
    }
    assert.match(token ?? '', /^\d+(?:\.\d+)?$/, formula);
    return Number(token);
  };
  const product = (): number => {
    let value = atom();
    while (tokens[0] === 'x' || tokens[0] === '/') {
      value = tokens.shift() === 'x' ? value * atom() : value / atom();
    }
    return value;
  };
  const sum = (): number => {
    let value = product();
    while (tokens[0] === '+') {
      tokens.shift();
      value += product();
    }
    return value;
  };
  const value = sum();
  assert.deepEqual(tokens, [], formula);
  return value;
}
