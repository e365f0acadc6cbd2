import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeImported } from '../../../clients/cli/imported-folder.ts';
import { openBundle } from '../../../clients/cli/open-publishable.ts';
import type { PublishFile } from '../../../clients/publish.ts';
import { CHUNK_BYTES, messagesOf } from '../../../proto/wire/chunks.ts';
import { type Digest, digestOf, refOf } from '../../../proto/wire/digest.ts';
import { encodeManifest, type Manifest } from '../../../proto/wire/manifest.ts';
import { writeGmmBundle } from '../made-up.ts';
import { chunkedBlob } from '../registry/sample-version.ts';
import type { SeededRandom } from './seeded-random.ts';

export interface LargeVersion {
  /** As `maskterial import` writes one: what the command line publishes. */
  readonly folder: string;
  readonly manifest: Manifest;
  readonly manifestBytes: Buffer;
  readonly digest: Digest;
  /** The class that this version gives a patch of contrast -0.15. */
  readonly classIndex: number;
}

/** Seven chunks and two ends: enough that a transfer cut in the middle has something to go on with. */
const EXTRA_BYTES = [5 * CHUNK_BYTES + 1000, 2 * CHUNK_BYTES + 77];

/** A version that predicts, with random artifacts beside its graph that make it large; of each number another one. */
export async function makeLargeVersion(
  folder: string,
  number: number,
  random: SeededRandom,
  extraBytes: readonly number[] = EXTRA_BYTES,
): Promise<LargeVersion> {
  const classIndex = 1 + (number % 2);
  const contrasts = { [classIndex]: -0.15, [3 - classIndex]: -0.4 };
  const bundle = await openBundle(await writeGmmBundle(join(folder, `bundle-${number}`), contrasts), AbortSignal.timeout(60_000));
  try {
    const extra = extraBytes.map((sizeBytes, index) => ({ path: `extra-${index}.bin`, bytes: random.bytes(sizeBytes) }));
    const manifest: Manifest = {
      ...bundle.manifest,
      artifacts: [
        ...bundle.manifest.artifacts,
        ...extra.map(({ path, bytes }) => {
          const blob = chunkedBlob(bytes);
          return {
            path,
            role: 'serving' as const,
            mediaType: 'application/octet-stream',
            ...blob,
            chunks: [...blob.chunks],
          };
        }),
      ],
    };
    const files: PublishFile[] = extra.map(({ path, bytes }) => ({ path, ref: refOf(bytes), read: () => inPieces(bytes) }));
    const target = join(folder, `version-${number}`);
    await writeImported(target, encodeManifest(manifest), [...bundle.files, ...files]);
    const manifestBytes = await readFile(join(target, 'manifest.json'));
    return { folder: target, manifest, manifestBytes, digest: digestOf(manifestBytes), classIndex };
  } finally {
    await bundle.close();
  }
}

async function* inPieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield* messagesOf(bytes);
}
