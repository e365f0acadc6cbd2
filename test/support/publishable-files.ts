import type { PublishFile } from '../../clients/publish.ts';
import { CHUNK_BYTES } from '../../proto/wire/chunks.ts';
import { digestOf, refOf } from '../../proto/wire/digest.ts';
import { encodeManifest, type Manifest, ONNX_MEDIA_TYPE } from '../../proto/wire/manifest.ts';

/** `chunks` full chunks and a few bytes more, each chunk different. */
export function fileContent(chunks: number, extraBytes: number, seed: number): Buffer {
  const content = Buffer.alloc(chunks * CHUNK_BYTES + extraBytes, seed);
  for (let index = 0; index <= chunks; index += 1) {
    content.set([index + 1], Math.min(index * CHUNK_BYTES, content.byteLength - 1));
  }
  return content;
}

/** A file that counts how often it is read. */
export function publishFile(path: string, content: Buffer): PublishFile & { readonly reads: () => number } {
  let reads = 0;
  return {
    path,
    ref: refOf(content),
    reads: () => reads,
    async *read() {
      reads += 1;
      for (let at = 0; at < content.byteLength; at += 1_000_000) {
        yield content.subarray(at, at + 1_000_000);
      }
    },
  };
}

export function manifestFor(contents: Readonly<Record<string, Buffer>>): Buffer {
  const [graph = 'model.onnx'] = Object.keys(contents);
  const manifest: Manifest = {
    schemaVersion: 1,
    kind: 'classification',
    family: 'AMM',
    contract: 'pixel-classifier.v1',
    graph: {
      path: graph,
      inputs: [{ name: 'contrast', type: 'float32', shape: ['N', 3] }],
      outputs: [{ name: 'class', type: 'uint8', shape: ['N'] }],
    },
    classes: [{ index: 1, name: '1 layer' }],
    artifacts: Object.entries(contents).map(([path, content]) => ({
      path,
      role: 'serving',
      mediaType: ONNX_MEDIA_TYPE,
      ...refOf(content),
      chunks: Array.from({ length: Math.ceil(content.byteLength / CHUNK_BYTES) }, (_, index) =>
        digestOf(content.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES)),
      ),
    })),
    lineage: { sourceFiles: [], metrics: {} },
  };
  return encodeManifest(manifest);
}
