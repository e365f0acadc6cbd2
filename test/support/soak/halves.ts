import assert from 'node:assert/strict';
import { describeMemory, type FuzzBench, growthOf, type Memory } from './fuzz-bench.ts';

const AT_ONCE = 4;
const LOOK_EVERY = 100;

/** Feeds a bench all inputs, a few at once, looks now and then whether it lives, and compares its memory after two halves. */
export async function inHalves(
  bench: FuzzBench,
  inputs: readonly (() => Promise<void>)[],
  say: (text: string) => void,
): Promise<void> {
  const runHalf = async (half: number, isEnough?: (least: Memory) => boolean) => {
    // Every second one, so that inputs of all kinds are in both.
    const chosen = inputs.filter((_, index) => index % 2 === half);
    for (let at = 0; at < chosen.length; at += LOOK_EVERY) {
      await several(chosen.slice(at, at + LOOK_EVERY));
      await bench.assertAlive();
    }
    const memory = await bench.memory(isEnough);
    say(`half ${half + 1}: ${describeMemory(memory)}`);
    return memory;
  };
  const first = await runHalf(0);
  const second = await runHalf(1, (least) => growthOf(first, least).length === 0);
  assert.deepEqual(growthOf(first, second), []);
}

async function several(inputs: readonly (() => Promise<void>)[]): Promise<void> {
  const queue = inputs.values();
  const worker = async (): Promise<void> => {
    for (const input of queue) {
      await input();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}
