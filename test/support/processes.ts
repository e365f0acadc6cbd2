import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** The compiled real engine, and the fake one. */
export const ENGINE_MODULE: string = fileURLToPath(new URL('../../inference/engine/process.js', import.meta.url));
export const SCRIPTED_ENGINE: string = fileURLToPath(new URL('./scripted-engine.js', import.meta.url));
export const GENERATION_PARENT: string = fileURLToPath(new URL('./generation-parent.js', import.meta.url));

/** One that has ended and that nobody asked for its outcome yet, as in a container without an init, is not running. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return process.platform !== 'linux' || !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

/** A process that stands still: what it is given waits in it, however long others take. Disposing lets it go on. */
export interface StandingProcess extends Disposable {
  readonly pid: number;
  /** Idempotent, and nothing where it was ended meanwhile. */
  goOn(): void;
}

/** Has a process stand still. */
export function standStill(pid: number): StandingProcess {
  // 0 would be this process and all that it started.
  assert.ok(pid > 0, `${pid} is no process that could stand still`);
  process.kill(pid, 'SIGSTOP');
  const goOn = (): void => {
    if (isRunning(pid)) {
      process.kill(pid, 'SIGCONT');
    }
  };
  return { pid, goOn, [Symbol.dispose]: goOn };
}

/** Looks again and again: a process that is nobody's child has no event. */
export async function untilGone(pids: readonly number[], limitMs = 180_000): Promise<void> {
  const deadline = Date.now() + limitMs;
  while (pids.some(isRunning)) {
    if (Date.now() > deadline) {
      throw new Error(`still running after ${limitMs} ms: ${pids.filter(isRunning).join(', ')}`);
    }
    await setTimeout(10);
  }
}
