import { writeFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';

/** Of 1000; the supervisor has 0 or whatever its own supervisor chose. */
const OOM_SCORE = '500';

/**
 * For an engine process, at its start. It never outlives the process `parentPid`: the closing message channel tells a process
 * whose event loop turns, a thread that looks for the parent ends one that is blocked in native code. And where memory runs out,
 * the kernel takes an engine, which comes back, rather than the server.
 */
export function guardProcess(parentPid: number): void {
  new Worker(new URL('./parent-watch.js', import.meta.url), { workerData: parentPid }).unref();
  if (process.platform === 'linux') {
    try {
      writeFileSync('/proc/self/oom_score_adj', OOM_SCORE);
    } catch {
      // A read-only /proc, as some containers have: the kernel then chooses by size alone.
    }
  }
}
