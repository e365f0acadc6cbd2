import * as z from 'zod';
import { CHUNK_BYTES, chunkCount, MAX_CHUNKS } from './chunks.ts';
import { asDigest, type BlobRef, type Digest } from './digest.ts';
import { ServiceError } from './errors.ts';

export const ONNX_MEDIA_TYPE = 'application/vnd.onnx';
/** Weights that a graph names by the path of their artifact. */
export const WEIGHTS_MEDIA_TYPE = 'application/octet-stream';
/** Of a bundle's own file: only an importer knows what it is. */
export const SOURCE_MEDIA_TYPE = 'application/octet-stream';

/** A manifest is read whole into memory by every reader. 64 artifacts of 80 GB in 8 MiB chunks would not fit; 100 GB does. */
export const MAX_MANIFEST_BYTES = 1024 * 1024;
export const MAX_ARTIFACTS = 64;
/** A megabyte of nonsense can be wrong in a hundred thousand places. */
const MAX_LISTED_VIOLATIONS = 100;

const digestSchema = z.custom<Digest>((value) => typeof value === 'string' && asDigest(value) !== undefined, {
  error: 'expected "sha256:" and 64 lower-case hex digits',
});
const blob = { digest: digestSchema, sizeBytes: z.int().min(0) };
/** Relative, forward slashes, no empty, "." or ".." segment, no control characters: safe to show and to lay out as a file. */
const path = z
  .string()
  .max(255)
  .regex(/^(?!.*(?:^|\/)\.{0,2}(?:\/|$))[^\\\p{Cc}]+$/u, 'expected a relative path without "..", empty segments or backslashes');

const artifactSchema = z
  .strictObject({
    path,
    role: z.enum(['serving', 'source']),
    mediaType: z.string().min(1).max(255),
    ...blob,
    /** Digest of each 8 MiB chunk in order. */
    chunks: z.array(digestSchema).max(MAX_CHUNKS),
  })
  .refine((artifact) => artifact.chunks.length === chunkCount(artifact.sizeBytes), {
    error: `expected one chunk digest for every ${CHUNK_BYTES} bytes begun`,
    path: ['chunks'],
  });

const tensorSchema = z.strictObject({
  name: z.string().min(1),
  type: z.enum([
    'float32',
    'float16',
    'float64',
    'uint8',
    'int8',
    'uint16',
    'int16',
    'int32',
    'uint32',
    'int64',
    'uint64',
    'bool',
    'string',
  ]),
  /** A name stands for a dimension that the caller chooses. */
  shape: z.array(z.union([z.int().min(0), z.string().min(1)])),
});

const lineageSchema = z.strictObject({
  doi: z.string().optional(),
  sourceUrl: z.string().optional(),
  /** The files that the version was made from. */
  sourceFiles: z.array(z.strictObject({ name: z.string().min(1), ...blob })).default([]),
  /** Name and version of the importer. */
  converter: z.string().optional(),
  dataset: z.string().optional(),
  licence: z.string().optional(),
  metrics: z.record(z.string(), z.number()).default({}),
});

/** What a run of the graph takes at its peak, weights included, for whoever has to decide whether it fits: an estimate. */
const memorySchema = z.strictObject({
  /** Whatever the image is. */
  baseBytes: z.int().min(0),
  /** For each pixel of the image, whose sides are rounded up first. */
  bytesPerPixel: z.int().min(0),
  /** The graph pads each side to the next multiple of this; left out: 32. */
  sideMultiple: z.int().min(1).optional(),
});

const manifestSchema = z.strictObject({
  schemaVersion: z.literal(1),
  kind: z.enum(['segmentation', 'classification', 'postprocessing', 'generic']),
  /** Empty for a generic graph. */
  family: z.enum(['M2F', 'AMM', 'GMM', 'MLP', 'L2', '']),
  /**
   * What the graph takes and gives. `pixel-classifier.v1`: input `contrast` float32 [N, 3], B G R on the half-precision grid of
   * the contrast table; output `class` uint8 [N], 0 = background, and what it was decided by: `distance` or `logit`, float32 [N, K].
   * `shape-classifier.v1`: input `features` float64 [N, 2], for each flake the length of its outline / sqrt(area), and area / area
   * of the convex hull; output `probability` float64 [N], that the flake is real.
   * `mask2former-segmenter.v1`: input `image` uint8 [H, W, 3], B G R as decoded, not resized, not padded; output `class_logits`
   * float32 [Q, 2], flake and no object, and `mask_logits` float32 [Q, h, w] at a quarter of the padded size, which is H and W
   * rounded up to the next multiples of the model's own divisibility. Normalising and padding are the graph's.
   * `tensors.v1`: as `graph` says.
   */
  contract: z.enum(['pixel-classifier.v1', 'shape-classifier.v1', 'mask2former-segmenter.v1', 'tensors.v1']),
  graph: z.strictObject({ path, inputs: z.array(tensorSchema).min(1), outputs: z.array(tensorSchema).min(1) }),
  /** The classes that the model can answer, background left out, ascending. */
  classes: z.array(z.strictObject({ index: z.int().min(1).max(255), name: z.string().min(1).max(100) })).default([]),
  artifacts: z.array(artifactSchema).min(1).max(MAX_ARTIFACTS),
  memory: memorySchema.optional(),
  lineage: lineageSchema.prefault({}),
});

/** A version's artifacts, input contract and lineage; its exact bytes are the version's identity. */
export type Manifest = z.infer<typeof manifestSchema>;
export type ManifestArtifact = z.infer<typeof artifactSchema>;
export type TensorSpec = z.infer<typeof tensorSchema>;
export type ManifestLineage = z.infer<typeof lineageSchema>;

/**
 * Reads and checks a manifest.
 * @throws ServiceError invalid-argument INVALID_MANIFEST listing every violation with its field.
 */
export function parseManifest(bytes: Uint8Array): Manifest {
  if (bytes.byteLength > MAX_MANIFEST_BYTES) {
    throw invalidManifest([{ field: 'manifest_json', description: `${bytes.byteLength} bytes, at most ${MAX_MANIFEST_BYTES}` }]);
  }
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw invalidManifest([{ field: 'manifest_json', description: `not JSON in UTF-8: ${String(cause)}` }]);
  }
  const result = manifestSchema.safeParse(json);
  if (!result.success) {
    throw invalidManifest(
      result.error.issues
        .slice(0, MAX_LISTED_VIOLATIONS)
        .map((issue) => ({ field: ['manifest_json', ...issue.path].join('.'), description: issue.message })),
    );
  }
  checkAgreement(result.data);
  return result.data;
}

/** The bytes of a manifest: equal manifests give equal bytes, as long as their keys were set in the same order. */
export function encodeManifest(manifest: Manifest): Buffer {
  return Buffer.from(`${JSON.stringify(manifest, undefined, 1)}\n`);
}

/** The artifacts that inference fetches. */
export function servingArtifacts(manifest: Pick<Manifest, 'artifacts'>): ManifestArtifact[] {
  return manifest.artifacts.filter((artifact) => artifact.role === 'serving');
}

/** Chunk digests by blob digest. */
export function chunksByDigest(manifest: Manifest): Map<Digest, BlobRef & { readonly chunks: readonly Digest[] }> {
  return new Map(manifest.artifacts.map(({ digest, sizeBytes, chunks }) => [digest, { digest, sizeBytes, chunks }]));
}

/** What one field's form cannot say: uniqueness, and that fields refer to one another. */
function checkAgreement(manifest: Manifest): void {
  const violations = [];
  const seenPaths = new Set<string>();
  const seenBlobs = new Map<Digest, string>();
  for (const [index, artifact] of manifest.artifacts.entries()) {
    const field = `manifest_json.artifacts.${index}`;
    if (seenPaths.has(artifact.path)) {
      violations.push({ field: `${field}.path`, description: `"${artifact.path}" is declared twice` });
    }
    seenPaths.add(artifact.path);
    const content = JSON.stringify([artifact.sizeBytes, artifact.chunks]);
    if ((seenBlobs.get(artifact.digest) ?? content) !== content) {
      violations.push({ field, description: `${artifact.digest} is declared with two sizes or chunk lists` });
    }
    seenBlobs.set(artifact.digest, content);
  }
  for (const [index, { index: value }] of manifest.classes.entries()) {
    const before = manifest.classes[index - 1]?.index ?? 0;
    if (value <= before) {
      violations.push({ field: `manifest_json.classes.${index}.index`, description: `${value} does not come after ${before}` });
    }
  }
  if (!manifest.artifacts.some((artifact) => artifact.path === manifest.graph.path && artifact.role === 'serving')) {
    violations.push({ field: 'manifest_json.graph.path', description: `"${manifest.graph.path}" is not a serving artifact` });
  }
  if (violations.length > 0) {
    throw invalidManifest(violations);
  }
}

function invalidManifest(violations: { field: string; description: string }[]): ServiceError {
  const message = violations.map(({ field, description }) => `${field}: ${description}`).join('; ');
  return new ServiceError('invalid-argument', 'INVALID_MANIFEST', message, { violations });
}
