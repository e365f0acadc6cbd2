import type { DesiredAlias } from '../../inference/rollout/model-source.ts';
import { type ServableId, servableId, type VersionKey } from '../../inference/rollout/servable.ts';
import { type Digest, refOf } from '../../proto/wire/digest.ts';
import { encodeManifest, type Manifest, parseManifest } from '../../proto/wire/manifest.ts';
import { type AliasName, type ModelName, type ModelReference, parseModelReference } from '../../proto/wire/names.ts';
import { blobOf } from './fake-blob-source.ts';

/** A made-up version with the bytes behind it. */
export interface MadeVersion {
  readonly key: VersionKey;
  readonly id: ServableId;
  readonly manifest: Manifest;
  readonly manifestBytes: Uint8Array;
  readonly graph: Uint8Array;
  readonly graphDigest: Digest;
}

export const asModel = (name: string): ModelName => name as ModelName;
export const asAlias = (name: string): AliasName => name as AliasName;

/** A version whose one artifact's bytes are those of `content`. */
export function makeVersion(
  model: string,
  version: number,
  content = `graph of ${model}:${version}`,
  contract: Manifest['contract'] = 'pixel-classifier.v1',
): MadeVersion {
  const graph = Buffer.from(content);
  const manifest: Manifest = {
    schemaVersion: 1,
    kind: 'classification',
    family: 'GMM',
    contract,
    graph: {
      path: 'model.onnx',
      inputs: [{ name: 'contrast', type: 'float32', shape: ['N', 3] }],
      outputs: [{ name: 'class', type: 'uint8', shape: ['N'] }],
    },
    classes: [{ index: 1, name: '1 layer' }],
    artifacts: [
      {
        path: 'model.onnx',
        role: 'serving',
        mediaType: 'application/vnd.onnx',
        ...blobOf(graph),
        chunks: [...blobOf(graph).chunks],
      },
    ],
    lineage: { sourceFiles: [], metrics: {}, converter: `for ${model}:${version}` },
  };
  const manifestBytes = encodeManifest(manifest);
  const key = { model: asModel(model), version, manifest: refOf(manifestBytes) };
  return {
    key,
    id: servableId(key),
    manifest: parseManifest(manifestBytes),
    manifestBytes,
    graph,
    graphDigest: refOf(graph).digest,
  };
}

export function pointing({ key }: MadeVersion, alias = 'production', revision = key.version): DesiredAlias {
  return { model: key.model, alias: asAlias(alias), version: key.version, revision, manifest: key.manifest };
}

export const ref = (text: string): ModelReference => parseModelReference(text, 'model');
