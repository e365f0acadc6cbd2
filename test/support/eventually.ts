import { stat } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';

/** Turns of the event loop that stand for "nothing more happens". */
const MANY_TURNS = 200;

/** Goes round the event loop until `check` holds; a test that waits in vain ends at its file's limit. */
export async function eventually(check: () => boolean): Promise<void> {
  while (!check()) {
    await setImmediate();
  }
}

/** Gives everything that is ready to run the time to do so: before a check that something did not happen. */
export async function manyTurns(): Promise<void> {
  for (let turn = 0; turn < MANY_TURNS; turn += 1) {
    // Through the thread pool and back, so that work on files gets on too.
    await stat('.');
    await setImmediate();
  }
}

/** Waits until `count` has stayed the same for many turns, and gives it: how far something goes that must not go on for ever. */
export async function untilStill(count: () => number): Promise<number> {
  for (;;) {
    const before = count();
    await manyTurns();
    if (count() === before) {
      return before;
    }
  }
}
