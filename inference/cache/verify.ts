import { randomBytes } from 'node:crypto';
import type { Stats } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, rename, utimes } from 'node:fs/promises';
import type { Clock } from '../../infra/process/clock.ts';
import type { BlobRef, Digest } from '../../proto/wire/digest.ts';
import { ServiceError } from '../../proto/wire/errors.ts';
import { errorCode, hashRange, isAbsent, READ_FLAGS, storageError } from './disk.ts';
import type { OnCacheEvent } from './events.ts';
import { Flights } from './flights.ts';
import type { CacheLayout } from './layout.ts';

/** What the cache holds under a digest. `quarantined`: a file that did not match was just set aside at `path`. */
export type Presence =
  | { readonly kind: 'verified'; readonly path: string; readonly sizeBytes: number }
  | { readonly kind: 'quarantined'; readonly path: string }
  | { readonly kind: 'absent' };

interface VerifierDeps {
  readonly layout: CacheLayout;
  readonly clock: Clock;
  readonly onEvent: OnCacheEvent;
}

/** Tells a file that was verified from one that was put in its place or written to since. */
interface Fingerprint {
  readonly device: number;
  readonly inode: number;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
}

/**
 * Hashes a blob's file before its first use in this process, and again whenever it looks different from the file that was
 * hashed. What does not match goes to quarantine and is never handed out.
 */
export class BlobVerifier {
  readonly #deps: VerifierDeps;
  readonly #verified = new Map<Digest, Fingerprint>();
  readonly #flights = new Flights<Presence>();

  constructor(deps: VerifierDeps) {
    this.#deps = deps;
  }

  /**
   * @throws ServiceError data-loss SIZE_MISMATCH when the file is the digest's and `ref` states another size; unavailable
   * STORAGE_UNAVAILABLE when the file cannot be read or set aside; the signal's reason.
   */
  async verify(ref: BlobRef, signal: AbortSignal): Promise<Presence> {
    const presence = await this.verifyDigest(ref.digest, signal);
    if (presence.kind === 'verified' && presence.sizeBytes !== ref.sizeBytes) {
      throw new ServiceError(
        'data-loss',
        'SIZE_MISMATCH',
        `${ref.digest} has ${presence.sizeBytes} bytes, expected ${ref.sizeBytes}`,
        {
          metadata: { digest: ref.digest, expected: String(ref.sizeBytes), found: String(presence.sizeBytes) },
        },
      );
    }
    return presence;
  }

  /** Verifies whatever size the file has: a digest alone decides whether a file is corrupt. */
  verifyDigest(digest: Digest, signal: AbortSignal): Promise<Presence> {
    return this.#flights.join(digest, signal, (shared) => this.#check(digest, shared));
  }

  /** Hashes again although nothing looks different: bits rot without a change of the time stamp. */
  async recheck(digest: Digest, signal: AbortSignal): Promise<Presence> {
    this.forget(digest);
    return this.verifyDigest(digest, signal);
  }

  /** Takes a file as verified that this process itself wrote and hashed. */
  accept(digest: Digest, stats: Stats): void {
    this.#verified.set(digest, fingerprintOf(stats));
  }

  forget(digest: Digest): void {
    this.#verified.delete(digest);
  }

  /** Moves a blob's file aside. Undefined when there is none. @throws ServiceError unavailable STORAGE_UNAVAILABLE. */
  async quarantine(digest: Digest, why: string): Promise<string | undefined> {
    const { layout, clock, onEvent } = this.#deps;
    const path = layout.quarantined(digest, clock.nowMs(), randomBytes(4).toString('hex'));
    this.forget(digest);
    try {
      await mkdir(layout.quarantine, { recursive: true });
      await rename(layout.blob(digest), path);
    } catch (error) {
      if (isAbsent(error)) {
        return undefined;
      }
      throw storageError(error, `set aside the corrupt ${layout.blob(digest)}`);
    }
    onEvent({ kind: 'blob-quarantined', digest, path, why });
    return path;
  }

  /**
   * Writes the time of the last use down as the file's access time, for every server of the folder to see. The modification
   * time stays: it belongs to the fingerprint.
   */
  async recordUse(digest: Digest): Promise<void> {
    const { layout, clock, onEvent } = this.#deps;
    const path = layout.blob(digest);
    try {
      const { mtimeMs } = await lstat(path);
      await utimes(path, clock.nowMs() / 1000, Math.round(mtimeMs) / 1000);
    } catch (error) {
      if (!isAbsent(error)) {
        onEvent({ kind: 'clean-up-failed', doing: `record the use of ${path}`, error });
      }
    }
  }

  stop(): Promise<void> {
    return this.#flights.stop();
  }

  async #check(digest: Digest, signal: AbortSignal): Promise<Presence> {
    const path = this.#deps.layout.blob(digest);
    try {
      const stats = await lstat(path);
      if (isSame(this.#verified.get(digest), fingerprintOf(stats))) {
        return { kind: 'verified', path, sizeBytes: stats.size };
      }
      const fault = stats.isFile() ? await this.#faultOf(digest, path, signal) : 'not a regular file';
      return fault === undefined ? { kind: 'verified', path, sizeBytes: stats.size } : await this.#setAside(digest, fault);
    } catch (error) {
      if (isAbsent(error)) {
        this.forget(digest);
        return { kind: 'absent' };
      }
      throw storageError(error, `read ${path}`);
    }
  }

  async #setAside(digest: Digest, fault: string): Promise<Presence> {
    const aside = await this.quarantine(digest, fault);
    return aside === undefined ? { kind: 'absent' } : { kind: 'quarantined', path: aside };
  }

  /** Why the file is not the blob, or undefined when it is. */
  async #faultOf(digest: Digest, path: string, signal: AbortSignal): Promise<string | undefined> {
    let file: FileHandle | undefined;
    try {
      file = await open(path, READ_FLAGS);
      const before = await file.stat();
      const found = await hashRange(file, 0, before.size, signal);
      if (found.digest !== digest) {
        return `${found.sizeBytes} bytes with digest ${found.digest}`;
      }
      // As it was before the hashing: a write during it shows at the next look.
      this.accept(digest, before);
      return undefined;
    } catch (error) {
      if (errorCode(error) === 'EIO') {
        return 'unreadable: EIO';
      }
      throw error;
    } finally {
      await file?.close();
    }
  }
}

function fingerprintOf({ dev, ino, size, mtimeMs }: Stats): Fingerprint {
  // Whole milliseconds: `recordUse` writes the time back, and a double of seconds does not hold the nanoseconds.
  return { device: dev, inode: ino, sizeBytes: size, modifiedMs: Math.round(mtimeMs) };
}

function isSame(left: Fingerprint | undefined, right: Fingerprint): boolean {
  return (
    left !== undefined &&
    left.device === right.device &&
    left.inode === right.inode &&
    left.sizeBytes === right.sizeBytes &&
    left.modifiedMs === right.modifiedMs
  );
}
