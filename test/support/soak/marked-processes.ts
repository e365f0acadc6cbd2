import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { HANG_MS } from '../hang-limit.ts';

/** The environment variable by which a process and all that it starts are known, also once they have another parent. */
export const ENVIRONMENT_MARK = 'MASKTERIAL_TEST_MARK';

/** Processes started with this mark that still run, by /proc; none where there is no /proc. */
export function markedProcesses(mark: string): number[] {
  return processIds().filter((pid) => environmentOf(pid).includes(`${ENVIRONMENT_MARK}=${mark}`));
}

/** Looks again and again: an orphan has no event, and looks for its parent every second. @throws when one goes on running. */
export async function untilNoneMarked(mark: string): Promise<void> {
  const deadline = Date.now() + HANG_MS;
  for (;;) {
    const left = markedProcesses(mark);
    if (left.length === 0) {
      return;
    }
    if (Date.now() > deadline) {
      throw new Error(`still running ${HANG_MS} ms after the process that started them was killed: ${left.join(', ')}`);
    }
    await setTimeout(10);
  }
}

function processIds(): number[] {
  try {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map(Number);
  } catch {
    return [];
  }
}

function environmentOf(pid: number): string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0');
  } catch {
    // It ended meanwhile, or is another user's.
    return [];
  }
}
