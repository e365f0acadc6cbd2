import { readFileSync } from 'node:fs';

const LOOK_EVERY_MS = 250;

export interface MemoryWatchDeps {
  /** Of a process; undefined where it is gone, or nothing tells. */
  readonly residentBytes: (pid: number) => number | undefined;
  /** Calls again and again until the result is called. */
  readonly every: (ms: number, look: () => void) => () => void;
}

/** Calls `onExceeded` once when the process holds more than `limitBytes`, looking four times a second. Gives what ends the watch. */
export function watchMemory(
  pid: number,
  limitBytes: number,
  onExceeded: () => void,
  system: MemoryWatchDeps = OPERATING_SYSTEM,
): () => void {
  const stop = system.every(LOOK_EVERY_MS, () => {
    if ((system.residentBytes(pid) ?? 0) > limitBytes) {
      stop();
      onExceeded();
    }
  });
  return stop;
}

/** The kernel's own account, in Linux alone. */
export function residentBytes(pid: number): number | undefined {
  try {
    const [, kilobytes] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
  } catch {
    return undefined;
  }
}

const OPERATING_SYSTEM: MemoryWatchDeps = {
  residentBytes,
  every: (ms, look) => {
    const timer = setInterval(look, ms);
    timer.unref();
    return () => clearInterval(timer);
  },
};
