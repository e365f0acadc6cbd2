import { setTimeout } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** The compiled real engine, and the fake one. */
export const ENGINE_MODULE: string = fileURLToPath(new URL('../../inference/engine/process.js', import.meta.url));
export const SCRIPTED_ENGINE: string = fileURLToPath(new URL('./scripted-engine.js', import.meta.url));
export const GENERATION_PARENT: string = fileURLToPath(new URL('./generation-parent.js', import.meta.url));

export function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

/** Looks again and again: a process that is nobody's child has no event. */
export async function untilGone(pids: readonly number[], limitMs = 20_000): Promise<void> {
  const deadline = Date.now() + limitMs;
  while (pids.some(isRunning)) {
    if (Date.now() > deadline) {
      throw new Error(`still running after ${limitMs} ms: ${pids.filter(isRunning).join(', ')}`);
    }
    await setTimeout(10);
  }
}
