import { createCipheriv, createHash } from 'node:crypto';
import { CHUNK_BYTES } from '../../../proto/wire/chunks.ts';
import { type BlobRef, digestOf, refOf } from '../../../proto/wire/digest.ts';
import { encodeManifest, type Manifest, ONNX_MEDIA_TYPE } from '../../../proto/wire/manifest.ts';
import type { ChunkedBlob } from '../../../registry/release/blob-store.ts';

/** The same bytes for the same seed, on every machine. */
export function seededBytes(seed: string, sizeBytes: number): Buffer {
  const key = createHash('sha256').update(seed).digest().subarray(0, 16);
  return createCipheriv('aes-128-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(sizeBytes));
}

/** A blob as a manifest declares it, cut from its bytes. */
export function chunkedBlob(bytes: Uint8Array): ChunkedBlob {
  const chunks = [];
  for (let at = 0; at < bytes.byteLength; at += CHUNK_BYTES) {
    chunks.push(digestOf(bytes.subarray(at, at + CHUNK_BYTES)));
  }
  return { ...refOf(bytes), chunks };
}

export interface SampleVersion {
  readonly manifest: Manifest;
  readonly manifestJson: Buffer;
  readonly files: readonly Buffer[];
}

/** A classifier whose first file is its graph. What is in the files does not matter to a registry. */
export function sampleVersion(
  files: readonly Buffer[],
  change: (manifest: Manifest) => Manifest = (manifest) => manifest,
): SampleVersion {
  const manifest = change({
    schemaVersion: 1,
    kind: 'classification',
    family: 'AMM',
    contract: 'pixel-classifier.v1',
    graph: {
      path: 'file-0.onnx',
      inputs: [{ name: 'contrast', type: 'float32', shape: ['N', 3] }],
      outputs: [{ name: 'class', type: 'uint8', shape: ['N'] }],
    },
    classes: [{ index: 1, name: '1 layer' }],
    artifacts: files.map((bytes, index) => ({
      path: `file-${index}.onnx`,
      role: index === 0 ? ('serving' as const) : ('source' as const),
      mediaType: ONNX_MEDIA_TYPE,
      ...chunkedBlob(bytes),
      chunks: [...chunkedBlob(bytes).chunks],
    })),
    lineage: {
      doi: '10.5281/zenodo.15765516',
      sourceFiles: [{ name: 'model.pth', ...refOf(seededBytes('pth', 10)) }],
      converter: 'maskterial 0.1.0',
      metrics: { f1: 0.75 },
    },
  });
  return { manifest, manifestJson: encodeManifest(manifest), files };
}

/** A small version; each seed makes another one. */
export function smallVersion(seed: string): SampleVersion {
  return sampleVersion([seededBytes(seed, 1000), seededBytes(`${seed} source`, 200)]);
}

export function fileRef(version: SampleVersion, index: number): BlobRef {
  const artifact = version.manifest.artifacts[index];
  if (artifact === undefined) {
    throw new Error(`the sample has no file ${index}`);
  }
  return { digest: artifact.digest, sizeBytes: artifact.sizeBytes };
}
