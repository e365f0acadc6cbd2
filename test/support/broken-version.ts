import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Version } from '../../proto/gen/maskterial/registry/v1/model.ts';
import { refOf } from '../../proto/wire/digest.ts';
import { encodeManifest, parseManifest } from '../../proto/wire/manifest.ts';
import type { TestSystem } from './system.ts';

/** A version that is whole and verified, but whose graph is no graph. */
export async function publishBroken(system: TestSystem, model: string): Promise<Version> {
  const bytes = Buffer.from('not a graph');
  const ref = refOf(bytes);
  const manifest = parseManifest(
    Buffer.from(
      JSON.stringify({
        schemaVersion: 1,
        kind: 'classification',
        family: 'GMM',
        contract: 'pixel-classifier.v1',
        graph: {
          path: 'model.onnx',
          inputs: [{ name: 'contrast', type: 'float32', shape: ['N', 3] }],
          outputs: [{ name: 'class', type: 'uint8', shape: ['N'] }],
        },
        artifacts: [{ path: 'model.onnx', role: 'serving', mediaType: 'application/vnd.onnx', ...ref, chunks: [ref.digest] }],
      }),
    ),
  );
  const file = {
    path: 'model.onnx',
    ref,
    async *read(): AsyncGenerator<Uint8Array> {
      yield bytes;
    },
  };
  const published = await system.registry.publishVersion({
    model,
    manifestBytes: encodeManifest(manifest),
    files: [file],
  });
  return published.version;
}

/** Changes a byte of the version's graph where the registry keeps it. */
export async function damageStored(system: TestSystem, version: Version): Promise<void> {
  const { digest = '' } = version.artifacts.find(({ path }) => path === 'model.onnx')?.blob ?? {};
  const hex = digest.slice('sha256:'.length);
  const path = join(system.registryData, 'blobs', 'sha256', hex.slice(0, 2), hex);
  const bytes = await readFile(path);
  bytes[bytes.byteLength >> 1] = (bytes[bytes.byteLength >> 1] ?? 0) ^ 0xff;
  await chmod(path, 0o644);
  await writeFile(path, bytes);
}
