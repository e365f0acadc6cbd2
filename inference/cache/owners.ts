import { createHash, randomBytes } from 'node:crypto';
import { readFile, readlink } from 'node:fs/promises';
import { hostname } from 'node:os';
import { errorCode, isAbsent } from './disk.ts';

/** Who files belong to that are not everybody's: one process's cache, also after that process died. */
export interface Owners {
  /** This cache's own id. */
  readonly self: string;
  /** Whether `id` may still be at work; `seenMs` is when its file was last touched. */
  isAlive(id: string, seenMs: number): Promise<boolean>;
}

/**
 * How long another machine's, or another container's, files count as alive after their last touch: its processes cannot be
 * seen from here. A live owner touches its pins every hour (`ArtifactCache.renew`) and its partials with every chunk.
 */
const FOREIGN_ALIVE_MS = 24 * 3600 * 1000;

/**
 * Owners named `<pid>-<start>-<scope>-<random>`: `start` is the process's start time, since process ids are used again; `scope`
 * stands for machine, boot and process namespace, within which a process id means anything; `random` tells apart two caches
 * of one process. A wrong verdict costs a download, never a blob: what two writers of one partial file write is the same
 * verified bytes at the same places.
 */
export async function processOwners(nowMs: () => number): Promise<Owners> {
  const scope = await readScope();
  const self = `${process.pid}-${(await startOf(process.pid)) ?? '0'}-${scope}-${randomBytes(4).toString('hex')}`;
  return {
    self,
    async isAlive(id, seenMs) {
      const match = /^(\d{1,10})-(\d{1,20})-([0-9a-f]{12})-[0-9a-f]{8}$/.exec(id);
      if (match?.[3] !== scope) {
        return nowMs() - seenMs < FOREIGN_ALIVE_MS;
      }
      const pid = Number(match[1]);
      return hasProcess(pid) && ((await startOf(pid)) ?? '0') === match[2];
    },
  };
}

function hasProcess(pid: number): boolean {
  try {
    // Signal 0 only asks.
    return pid > 0 && process.kill(pid, 0);
  } catch (error) {
    return errorCode(error) === 'EPERM';
  }
}

/** Clock ticks from boot to the start of a process, where the system says (Linux: proc(5), field 22 of stat). */
async function startOf(pid: number): Promise<string | undefined> {
  const stat = await readIfThere(() => readFile(`/proc/${pid}/stat`, 'utf8'));
  // The second field is the program's name in brackets and may hold spaces and brackets itself.
  return stat
    ?.slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .at(19);
}

async function readScope(): Promise<string> {
  const boot = await readIfThere(() => readFile('/proc/sys/kernel/random/boot_id', 'utf8'));
  const namespace = await readIfThere(() => readlink('/proc/self/ns/pid'));
  return createHash('sha256')
    .update(JSON.stringify([hostname(), boot, namespace]))
    .digest('hex')
    .slice(0, 12);
}

async function readIfThere(read: () => Promise<string>): Promise<string | undefined> {
  try {
    return await read();
  } catch (error) {
    if (isAbsent(error) || errorCode(error) === 'ESRCH' || errorCode(error) === 'EACCES') {
      return undefined;
    }
    throw error;
  }
}
