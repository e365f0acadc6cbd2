import { createReadStream } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CHUNK_BYTES, chunkRange, regroup } from '../../../proto/wire/chunks.ts';
import { digestOf, hexOf } from '../../../proto/wire/digest.ts';
import type { Manifest, ManifestArtifact } from '../../../proto/wire/manifest.ts';

/** What of a version is not in a store yet, chunk by chunk. */
export interface Missing {
  readonly chunks: number;
  readonly bytes: number;
  readonly totalBytes: number;
}

/** Adds up what `heldOf` says of each artifact. */
export async function missingOf(
  artifacts: readonly ManifestArtifact[],
  heldOf: (artifact: ManifestArtifact) => Promise<ReadonlySet<number>>,
): Promise<Missing> {
  let chunks = 0;
  let bytes = 0;
  let totalBytes = 0;
  for (const artifact of artifacts) {
    const held = await heldOf(artifact);
    totalBytes += artifact.sizeBytes;
    for (const index of artifact.chunks.keys()) {
      if (!held.has(index)) {
        chunks += 1;
        bytes += chunkRange(index, artifact.sizeBytes).lengthBytes;
      }
    }
  }
  return { chunks, bytes, totalBytes };
}

/**
 * What an inference server's cache lacks, by its files alone: a blob under its name, or a partial file with a journal that names
 * the chunk; and in both the bytes must be right.
 */
export function missingInCache(modelPath: string, manifest: Manifest): Promise<Missing> {
  const root = join(modelPath, 'v1');
  return missingOf(
    manifest.artifacts.filter(({ role }) => role === 'serving'),
    async (artifact) => {
      const hex = hexOf(artifact.digest);
      const published = await rightChunks(join(root, 'blobs', 'sha256', hex.slice(0, 2), hex), artifact);
      if (published.size > 0) {
        return published;
      }
      const held = new Set<number>();
      for (const name of await namesIn(join(root, 'partial'))) {
        if (name.startsWith(`${hex}-`) && name.endsWith('.journal')) {
          const path = join(root, 'partial', name);
          const right = await rightChunks(path.replace(/\.journal$/, ''), artifact);
          const named = (await readFile(path, 'utf8')).split('\n').slice(1, -1).map(Number);
          for (const index of named.filter((one) => right.has(one))) {
            held.add(index);
          }
        }
      }
      return held;
    },
  );
}

/** Names in a folder; none where there is none. */
export async function namesIn(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch {
    return [];
  }
}

/** The chunks of a file whose bytes are the artifact's; none where there is no file. */
async function rightChunks(path: string, { chunks }: ManifestArtifact): Promise<Set<number>> {
  const right = new Set<number>();
  let index = 0;
  try {
    for await (const bytes of regroup(createReadStream(path, { highWaterMark: CHUNK_BYTES }))) {
      if (digestOf(bytes) === chunks[index]) {
        right.add(index);
      }
      index += 1;
    }
  } catch {
    return new Set();
  }
  return right;
}
