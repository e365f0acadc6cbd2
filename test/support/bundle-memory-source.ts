import { invalidBundle } from '../../clients/import/bundle-error.ts';
import type { BundleSource } from '../../clients/import/bundle-source.ts';

/** A bundle in memory. Counts what is read of each file, and keeps the largest range asked for. */
export class MemorySource implements BundleSource {
  readonly name: string;
  readonly readBytes = new Map<string, number>();
  largestRead = 0;
  /** False: as a compressed file is. */
  hasSeeks = true;
  readonly #files: ReadonlyMap<string, Uint8Array>;

  constructor(files: Readonly<Record<string, Uint8Array>>, name = 'memory') {
    this.name = name;
    this.#files = new Map(Object.entries(files));
  }

  async list(): Promise<{ path: string; sizeBytes: number }[]> {
    return [...this.#files].map(([path, bytes]) => ({ path, sizeBytes: bytes.byteLength }));
  }

  async readRange(path: string, offsetBytes: number, lengthBytes: number): Promise<Uint8Array> {
    const bytes = this.#files.get(path);
    if (bytes === undefined || offsetBytes + lengthBytes > bytes.byteLength) {
      throw invalidBundle(path, 'out of range');
    }
    this.largestRead = Math.max(this.largestRead, lengthBytes);
    this.readBytes.set(path, (this.readBytes.get(path) ?? 0) + lengthBytes);
    return bytes.subarray(offsetBytes, offsetBytes + lengthBytes);
  }

  isSeekable(): boolean {
    return this.hasSeeks;
  }

  async close(): Promise<void> {}
}
