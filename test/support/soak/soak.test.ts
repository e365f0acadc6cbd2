import assert from 'node:assert/strict';
import { it } from 'node:test';
import { ConfigError } from '../../../infra/process/env.ts';
import { SeededRandom } from './seeded-random.ts';
import { createSoakRun, readSoakSettings } from './soak.ts';

it('runs everything with a seed of its own unless told otherwise', () => {
  assert.deepEqual(readSoakSettings({}), { share: 1, seed: 1, only: undefined });
  assert.deepEqual(readSoakSettings({ SOAK_SHARE: '0.1', SOAK_SEED: '7', SOAK_ONLY: '12' }), { share: 0.1, seed: 7, only: 12 });
  const { seed } = readSoakSettings({ SOAK_SEED: 'random' });
  assert.ok(Number.isInteger(seed) && seed >= 0);
});

it('takes no misspelt setting for another one, and names all of them', () => {
  for (const share of ['0', '1.5', '-1', 'a tenth']) {
    assert.throws(() => readSoakSettings({ SOAK_SHARE: share }), ConfigError);
  }
  assert.throws(
    () => readSoakSettings({ SOAK_SHARE: '2', SOAK_SEED: 'x', SOAK_ONLY: '-1' }),
    (error) => error instanceof ConfigError && error.problems.length === 3,
  );
});

it('a share is at least one, and an input can be run alone', () => {
  const say = (): void => undefined;
  const tenth = createSoakRun({ share: 0.1, seed: 1, only: undefined }, say);
  assert.deepEqual([tenth.portion(30), tenth.portion(4), tenth.inputs(31).length], [3, 1, 4]);
  assert.deepEqual(createSoakRun({ share: 1, seed: 1, only: 12 }, say).inputs(30), [12]);
});

it('chance repeats itself for one seed and label, and for no other', () => {
  const numbersOf = (seed: number, label: string): number[] => {
    const random = new SeededRandom(seed, label);
    return Array.from({ length: 20 }, () => random.below(1000));
  };
  assert.deepEqual(numbersOf(1, 'a'), numbersOf(1, 'a'));
  assert.notDeepEqual(numbersOf(1, 'a'), numbersOf(2, 'a'));
  assert.notDeepEqual(numbersOf(1, 'a'), numbersOf(1, 'b'));
  assert.deepEqual(new SeededRandom(1, 'a').bytes(50), new SeededRandom(1, 'a').bytes(50));
  const random = new SeededRandom(1, 'range');
  const numbers = Array.from({ length: 500 }, () => random.between(3, 5));
  assert.deepEqual(new Set(numbers), new Set([3, 4, 5]));
});
