import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createRandom } from '../../../clients/demo/random.ts';

describe('createRandom', () => {
  it('repeats itself for a seed and differs between seeds', () => {
    const draw = (seed: number): number[] => {
      const random = createRandom(seed);
      return Array.from({ length: 20 }, (_, index) => (index % 2 === 0 ? random.uniform() : random.normal()));
    };
    assert.deepEqual(draw(7), draw(7));
    assert.notDeepEqual(draw(7), draw(8));
  });

  it('fills [low, high) evenly', () => {
    const random = createRandom(1);
    const counts = Array.from({ length: 10 }, () => 0);
    for (let draw = 0; draw < 100_000; draw += 1) {
      const bin = Math.floor(random.uniform(-5, 5)) + 5;
      counts[bin] = (counts[bin] ?? Number.NaN) + 1;
    }
    assert.ok(counts.length === 10 && counts.every((count) => Math.abs(count - 10_000) < 500), counts.join(' '));
  });

  it('has the moments and the tails of the normal distribution', () => {
    const random = createRandom(2);
    const draws = Array.from({ length: 200_000 }, () => random.normal());
    const mean = draws.reduce((sum, value) => sum + value, 0) / draws.length;
    const variance = draws.reduce((sum, value) => sum + (value - mean) ** 2, 0) / draws.length;
    const beyondTwo = draws.filter((value) => Math.abs(value) > 2).length / draws.length;
    assert.ok(Math.abs(mean) < 0.01 && Math.abs(variance - 1) < 0.02);
    assert.ok(Math.abs(beyondTwo - 0.0455) < 0.003);
  });
});
