import { hashChunks } from '../../proto/wire/chunk-digests.ts';
import { CHECK_MEDIA_TYPE, encodeCheck } from '../../proto/wire/golden-check.ts';
import {
  encodeManifest,
  type Manifest,
  type ManifestArtifact,
  ONNX_MEDIA_TYPE,
  parseManifest,
  SOURCE_MEDIA_TYPE,
  WEIGHTS_MEDIA_TYPE,
} from '../../proto/wire/manifest.ts';
import type { ModelName } from '../../proto/wire/names.ts';
import { type BundleSource, readPieces } from './bundle-source.ts';
import { type Bundle, type BundleFamily, bundleFile, detectBundle } from './detect.ts';
import { fileOfBytes, type ImportedFile } from './imported-file.ts';
import { importerOf } from './importers.ts';
import { suggestModelName } from './suggest-name.ts';

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
  /** Publishes the bundle's own files too, for provenance and to convert them anew; inference never fetches them. */
  readonly keepSources?: boolean;
  readonly signal: AbortSignal;
}

export interface ImportedBundle {
  readonly family: BundleFamily;
  /** Inside the source; empty at its top. */
  readonly folder: string;
  readonly kind: Manifest['kind'];
  readonly manifest: Manifest;
  /** The manifest's artifacts, in its order. */
  readonly files: readonly ImportedFile[];
  /** From the names of the bundle's folders and of the source. */
  readonly suggestedName?: ModelName;
}

const GRAPH_PATH = 'model.onnx';
const CHECK_PATH = 'check.json';
/** No weights' path is like it: those are digests. */
const SOURCE_FOLDER = 'source';
const MEDIA_TYPES: ReadonlyMap<string, string> = new Map([
  [GRAPH_PATH, ONNX_MEDIA_TYPE],
  [CHECK_PATH, CHECK_MEDIA_TYPE],
]);

/**
 * Turns the one bundle of a source into an ONNX graph and its manifest. Nothing of the bundle is executed and nothing written;
 * the same bundle gives the same bytes.
 * @throws ServiceError invalid-argument INVALID_BUNDLE or UNSUPPORTED_MODEL naming the file and the reason.
 */
export async function importBundle(source: BundleSource, options: ImportOptions): Promise<ImportedBundle> {
  const { signal, lineage = {}, keepSources = false } = options;
  const bundle = await detectBundle(source, options.folder, signal);
  const importer = importerOf(bundle);
  const imported = await importer.import(bundle, signal);
  const serving = [
    await fileOfBytes(GRAPH_PATH, imported.graph),
    ...(imported.weights ?? []),
    ...(imported.check === undefined ? [] : [await fileOfBytes(CHECK_PATH, encodeCheck(imported.check))]),
  ];
  const sources = await describeSources(bundle, imported.usedFiles, signal);
  const kept = keepSources ? sources : [];
  const manifest: Manifest = {
    schemaVersion: 1,
    kind: importer.kind,
    family: bundle.family,
    contract: imported.contract,
    graph: { path: GRAPH_PATH, inputs: [...imported.inputs], outputs: [...imported.outputs] },
    classes: [...imported.classes],
    artifacts: [...serving.map(servingArtifact), ...kept.map(sourceArtifact)],
    ...(imported.memory === undefined ? {} : { memory: imported.memory }),
    lineage: {
      ...lineageText(lineage),
      sourceFiles: sources.map(({ name, ref }) => ({ name, ...ref })),
      converter: `maskterial-serving ${importer.name}`,
      metrics: { ...lineage.metrics },
    },
  };
  const suggestedName = suggestName(bundle);
  return {
    family: bundle.family,
    folder: bundle.folder,
    kind: importer.kind,
    // Read back as every reader will, so that what cannot be published is refused here.
    manifest: parseManifest(encodeManifest(manifest)),
    files: [...serving, ...kept],
    ...(suggestedName === undefined ? {} : { suggestedName }),
  };
}

interface BundleFile extends ImportedFile {
  readonly name: string;
}

function servingArtifact({ path, ref, chunks }: ImportedFile): ManifestArtifact {
  return { path, role: 'serving', mediaType: MEDIA_TYPES.get(path) ?? WEIGHTS_MEDIA_TYPE, ...ref, chunks: [...chunks] };
}

function sourceArtifact({ path, ref, chunks }: ImportedFile): ManifestArtifact {
  return { path, role: 'source', mediaType: SOURCE_MEDIA_TYPE, ...ref, chunks: [...chunks] };
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

/** The bundle's own files that went into the graph; each is read piece by piece, whenever it is asked for. */
async function describeSources(bundle: Bundle, names: readonly string[], signal: AbortSignal): Promise<BundleFile[]> {
  const described = [];
  for (const name of names) {
    const file = bundleFile(bundle, name);
    const read = (): AsyncIterable<Uint8Array> => readPieces(bundle.source, file, signal);
    described.push({ name, path: `${SOURCE_FOLDER}/${name}`, ...(await hashChunks(read())), read });
  }
  return described;
}

/** `CLS_AMM_GrapheneH/` or `CLS_AMM_GrapheneH.zip`. */
function suggestName({ folder, source, family }: Bundle): ModelName | undefined {
  return suggestModelName([source.name.replace(/\.zip$/i, ''), ...folder.split('/')], family);
}
