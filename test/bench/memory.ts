import { readdirSync, readFileSync } from 'node:fs';

export interface ProcessMemory {
  readonly pid: number;
  readonly parent: number;
  /** The most it ever had resident (VmHWM), in MiB. */
  readonly peakMib: number;
  /** Resident now (VmRSS), in MiB. */
  readonly residentMib: number;
  /** Processor time so far, user and system, in milliseconds; to a hundredth of a second. */
  readonly cpuMs: number;
}

/** Memory and processor time of a process and everything below it, from /proc; empty where there is no /proc. */
export function memoryOfTree(root: number): ProcessMemory[] {
  const all = readProcesses();
  const wanted = new Set([root]);
  // Children have been added after their parents here as a rule, not by law: repeat until nothing is new.
  for (let size = 0; size !== wanted.size; ) {
    size = wanted.size;
    for (const { pid, parent } of all) {
      if (wanted.has(parent)) {
        wanted.add(pid);
      }
    }
  }
  return all.filter(({ pid }) => wanted.has(pid));
}

function readProcesses(): ProcessMemory[] {
  try {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .flatMap((name) => readProcess(Number(name)));
  } catch {
    // Not Linux: the figures are left out.
    return [];
  }
}

function readProcess(pid: number): ProcessMemory[] {
  try {
    const text = readFileSync(`/proc/${pid}/status`, 'utf8');
    const parent = Number(/^PPid:\s*(\d+)/m.exec(text)?.[1] ?? 0);
    const peakKib = Number(/^VmHWM:\s*(\d+)/m.exec(text)?.[1] ?? 0);
    const residentKib = Number(/^VmRSS:\s*(\d+)/m.exec(text)?.[1] ?? 0);
    return [{ pid, parent, peakMib: peakKib / 1024, residentMib: residentKib / 1024, cpuMs: cpuMsOf(pid) }];
  } catch {
    // It ended between the listing and the reading.
    return [];
  }
}

/** From proc(5): fields 14 and 15 of stat, in ticks of a hundredth of a second. The name before them may hold anything. */
function cpuMsOf(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
