import { type BlobRef, Hasher } from '../../proto/wire/digest.ts';
import {
  encodeManifest,
  type Manifest,
  type ManifestArtifact,
  ONNX_MEDIA_TYPE,
  parseManifest,
  WEIGHTS_MEDIA_TYPE,
} from '../../proto/wire/manifest.ts';
import { asModelName, type ModelName } from '../../proto/wire/names.ts';
import { type BundleSource, readPieces, type SourceFile } from './bundle-source.ts';
import { type Bundle, type BundleFamily, bundleFile, detectBundle } from './detect.ts';
import { fileOfBytes, type ImportedFile } from './imported-file.ts';
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
  const files = [await fileOfBytes(GRAPH_PATH, imported.graph), ...(imported.weights ?? [])];
  const manifest: Manifest = {
    schemaVersion: 1,
    kind: importer.kind,
    family: bundle.family,
    contract: imported.contract,
    graph: { path: GRAPH_PATH, inputs: [...imported.inputs], outputs: [...imported.outputs] },
    classes: [...imported.classes],
    artifacts: files.map(artifactOf),
    ...(imported.memory === undefined ? {} : { memory: imported.memory }),
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
    files,
    ...(suggestedName === undefined ? {} : { suggestedName }),
  };
}

function artifactOf({ path, ref, chunks }: ImportedFile): ManifestArtifact {
  const mediaType = path === GRAPH_PATH ? ONNX_MEDIA_TYPE : WEIGHTS_MEDIA_TYPE;
  return { path, role: 'serving', mediaType, ...ref, chunks: [...chunks] };
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
