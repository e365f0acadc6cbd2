import { CHUNK_BYTES, regroup } from '../../proto/wire/chunks.ts';
import { type BlobRef, type Digest, digestOf, Hasher } from '../../proto/wire/digest.ts';
import {
  encodeManifest,
  type Manifest,
  type ManifestArtifact,
  ONNX_MEDIA_TYPE,
  parseManifest,
} from '../../proto/wire/manifest.ts';
import { asModelName, type ModelName } from '../../proto/wire/names.ts';
import { type BundleSource, readPieces, type SourceFile } from './bundle-source.ts';
import { type Bundle, type BundleFamily, bundleFile, detectBundle } from './detect.ts';
import { importerOf } from './importers.ts';

/** What the files themselves do not say. */
export interface ImportLineage {
  readonly doi?: string;
  readonly sourceUrl?: string;
  readonly dataset?: string;
  readonly licence?: string;
  readonly metrics?: Readonly<Record<string, number>>;
}

export interface ImportOptions {
  readonly lineage?: ImportLineage;
  /** Takes the bundle in this folder of the source, where there are several. */
  readonly folder?: string;
  readonly signal: AbortSignal;
}

/** A file to publish. */
export interface ImportedFile {
  readonly path: string;
  readonly ref: BlobRef;
  readonly chunks: readonly Digest[];
  /** The content, from the start at each call. */
  read(): AsyncIterable<Uint8Array>;
}

export interface ImportedBundle {
  readonly family: BundleFamily;
  readonly kind: Manifest['kind'];
  readonly manifest: Manifest;
  /** The manifest's artifacts, in its order. */
  readonly files: readonly ImportedFile[];
  /** The name of the bundle's folder, or of the source, where that is a model's name. */
  readonly suggestedName?: ModelName;
}

const GRAPH_PATH = 'model.onnx';

/**
 * Turns the one bundle of a source into an ONNX graph and its manifest. Nothing of the bundle is executed and nothing written;
 * the same bundle gives the same bytes.
 * @throws ServiceError invalid-argument INVALID_BUNDLE or UNSUPPORTED_MODEL naming the file and the reason.
 */
export async function importBundle(source: BundleSource, options: ImportOptions): Promise<ImportedBundle> {
  const { signal, lineage = {} } = options;
  const bundle = await detectBundle(source, options.folder, signal);
  const importer = importerOf(bundle);
  const imported = await importer.import(bundle, signal);
  const file = await fileOf(GRAPH_PATH, imported.graph);
  const manifest: Manifest = {
    schemaVersion: 1,
    kind: importer.kind,
    family: bundle.family,
    contract: imported.contract,
    graph: { path: GRAPH_PATH, inputs: [...imported.inputs], outputs: [...imported.outputs] },
    classes: [...imported.classes],
    artifacts: [artifactOf(file)],
    lineage: {
      ...lineageText(lineage),
      sourceFiles: await describeFiles(bundle, imported.usedFiles, signal),
      converter: `maskterial-serving ${importer.name}`,
      metrics: { ...lineage.metrics },
    },
  };
  const suggestedName = suggestName(bundle);
  return {
    family: bundle.family,
    kind: importer.kind,
    // Read back as every reader will, so that what cannot be published is refused here.
    manifest: parseManifest(encodeManifest(manifest)),
    files: [file],
    ...(suggestedName === undefined ? {} : { suggestedName }),
  };
}

async function fileOf(path: string, bytes: Uint8Array): Promise<ImportedFile> {
  const read = async function* (): AsyncGenerator<Uint8Array> {
    yield bytes;
  };
  const chunks: Digest[] = [];
  for await (const chunk of regroup(read(), CHUNK_BYTES)) {
    chunks.push(digestOf(chunk));
  }
  return { path, ref: { digest: digestOf(bytes), sizeBytes: bytes.byteLength }, chunks, read };
}

function artifactOf({ path, ref, chunks }: ImportedFile): ManifestArtifact {
  return { path, role: 'serving', mediaType: ONNX_MEDIA_TYPE, ...ref, chunks: [...chunks] };
}

/** Set one by one: the order of the keys is part of the manifest's bytes. */
function lineageText({ doi, sourceUrl, dataset, licence }: ImportLineage): Partial<Manifest['lineage']> {
  return {
    ...(doi === undefined ? {} : { doi }),
    ...(sourceUrl === undefined ? {} : { sourceUrl }),
    ...(dataset === undefined ? {} : { dataset }),
    ...(licence === undefined ? {} : { licence }),
  };
}

async function describeFiles(
  bundle: Bundle,
  names: readonly string[],
  signal: AbortSignal,
): Promise<Manifest['lineage']['sourceFiles']> {
  const described = [];
  for (const name of names) {
    described.push({ name, ...(await refOfFile(bundle.source, bundleFile(bundle, name), signal)) });
  }
  return described;
}

async function refOfFile(source: BundleSource, file: SourceFile, signal: AbortSignal): Promise<BlobRef> {
  const hasher = new Hasher();
  for await (const piece of readPieces(source, file, signal)) {
    hasher.update(piece);
  }
  return hasher.finish();
}

/** `CLS_AMM_GrapheneH/` or `CLS_AMM_GrapheneH.zip`. */
function suggestName({ folder, source }: Bundle): ModelName | undefined {
  const last = folder.slice(folder.lastIndexOf('/') + 1);
  return asModelName(last) ?? asModelName(source.name.replace(/\.zip$/i, ''));
}
