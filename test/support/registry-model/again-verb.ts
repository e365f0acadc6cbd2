import * as fc from 'fast-check';
import type { Verb } from './verb.ts';

/** An earlier request with an id once more, whatever became of what it was about. */
export const again: Verb<{ readonly ago: number }> = {
  name: 'again',
  // -1: the first one.
  steps: fc.record({ ago: fc.constantFrom(0, 1, 2, 3, -1) }),
  perform: async (registry, { ago }, _real, { requests }, by) => requests.at(-1 - ago)?.perform(registry, by),
  expect: ({ requests }, { ago }, by) => requests.at(-1 - ago)?.expect(by),
};
