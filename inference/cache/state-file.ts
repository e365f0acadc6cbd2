import { randomBytes } from 'node:crypto';
import { mkdir, open, readFile, rename, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import * as z from 'zod';
import { type Disk, discard, isAbsent, storageError, syncFolder } from './disk.ts';
import type { OnCacheEvent } from './events.ts';
import type { Owners } from './owners.ts';

/** What a document holds. A change that older readers would misread takes the next `version`. */
export interface StateFormat<T> {
  readonly name: string;
  readonly version: number;
  readonly schema: z.ZodType<T>;
}

interface StateDeps {
  readonly disk: Disk;
  readonly owners: Owners;
  readonly onEvent: OnCacheEvent;
}

/** A larger one is none of ours. */
const MAX_STATE_BYTES = 16 * 1024 * 1024;

const envelopeSchema = z.object({ format: z.string(), version: z.number(), value: z.unknown() });

/** A small JSON document that survives crashes: a reader sees the old or the new one, whole. */
export class StateFile<T> {
  readonly #path: string;
  readonly #format: StateFormat<T>;
  readonly #deps: StateDeps;
  /** Writes go one after the other, so that the last one asked for is the one that stays. */
  #writing: Promise<void> = Promise.resolve();

  constructor(path: string, format: StateFormat<T>, deps: StateDeps) {
    this.#path = path;
    this.#format = format;
    this.#deps = deps;
  }

  /**
   * The document, or undefined when there is none. One that cannot be read, is damaged, of another format or of a later version
   * counts as none and is an event: a server must start without it. Never throws.
   */
  async read(): Promise<T | undefined> {
    try {
      return this.#parse(await this.#text());
    } catch (error) {
      if (!isAbsent(error)) {
        this.#deps.onEvent({
          kind: 'state-unreadable',
          path: this.#path,
          why: error instanceof Error ? error.message : String(error),
        });
      }
      return undefined;
    }
  }

  /** @throws ServiceError resource-exhausted STORAGE_FULL, unavailable STORAGE_UNAVAILABLE; the old document stays then. */
  async write(value: T): Promise<void> {
    const { name, version } = this.#format;
    const bytes = Buffer.from(`${JSON.stringify({ format: name, version, value })}\n`);
    const written = this.#writing.then(() => this.#replace(bytes));
    this.#writing = written.then(
      () => undefined,
      () => undefined,
    );
    await written;
  }

  async #text(): Promise<string> {
    const { size } = await stat(this.#path);
    if (size > MAX_STATE_BYTES) {
      throw new Error(`${size} bytes, at most ${MAX_STATE_BYTES}`);
    }
    return readFile(this.#path, 'utf8');
  }

  #parse(text: string): T {
    const { name, version, schema } = this.#format;
    const envelope = envelopeSchema.parse(JSON.parse(text));
    if (envelope.format !== name || envelope.version !== version) {
      throw new Error(`expected ${name} version ${version}, found ${envelope.format.slice(0, 80)} version ${envelope.version}`);
    }
    return schema.parse(envelope.value);
  }

  async #replace(bytes: Uint8Array): Promise<void> {
    // The owner's, so that the next start knows what a killed server left; random, since two writers may have one owner.
    const temporary = `${this.#path}.${this.#deps.owners.self}.${randomBytes(6).toString('hex')}.tmp`;
    try {
      await mkdir(dirname(this.#path), { recursive: true });
      const file = await open(temporary, 'wx', 0o600);
      try {
        await this.#deps.disk.write(file, bytes, 0);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, this.#path);
      await syncFolder(dirname(this.#path));
    } catch (error) {
      await discard(temporary, this.#deps.onEvent);
      throw storageError(error, `write ${this.#path}`);
    }
  }
}
