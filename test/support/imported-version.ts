import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { importBundle } from '../../clients/import/import-bundle.ts';
import type { PublishFile } from '../../clients/publish.ts';
import type { ServableId, ServableSpec } from '../../inference/rollout/servable.ts';
import { refOf } from '../../proto/wire/digest.ts';
import { CHECK_MEDIA_TYPE } from '../../proto/wire/golden-check.ts';
import { encodeManifest, type Manifest, parseManifest } from '../../proto/wire/manifest.ts';
import { collect } from './bundle-files.ts';
import { MemorySource } from './bundle-memory-source.ts';
import { blobOf } from './fake-blob-source.ts';

/** What an import made, its bytes at hand. */
export interface ImportedVersion {
  readonly manifest: Manifest;
  readonly contents: ReadonlyMap<string, Uint8Array>;
}

export async function importedVersion(files: Readonly<Record<string, Uint8Array>>): Promise<ImportedVersion> {
  const { manifest, files: made } = await importBundle(new MemorySource(files), { signal: new AbortController().signal });
  const contents = new Map<string, Uint8Array>();
  for (const { path, read } of made) {
    contents.set(path, await collect(read()));
  }
  return { manifest, contents };
}

/** The same with another check, such as one that was made for other weights; without any where that is undefined. */
export function withCheck({ manifest, contents }: ImportedVersion, check: Uint8Array | undefined): ImportedVersion {
  const artifacts = manifest.artifacts.flatMap((artifact) => {
    if (artifact.mediaType !== CHECK_MEDIA_TYPE) {
      return [artifact];
    }
    const { digest, sizeBytes, chunks } = blobOf(check ?? new Uint8Array());
    return check === undefined ? [] : [{ ...artifact, digest, sizeBytes, chunks: [...chunks] }];
  });
  const changed = new Map([...contents].map(([path, bytes]) => [path, path === 'check.json' && check ? check : bytes]));
  return { manifest: parseManifest(encodeManifest({ ...manifest, artifacts })), contents: changed };
}

export function checkBytes({ contents }: ImportedVersion): Uint8Array {
  return contents.get('check.json') ?? new Uint8Array();
}

export function publishFiles({ manifest, contents }: ImportedVersion): PublishFile[] {
  return manifest.artifacts.map(({ path, digest, sizeBytes }) => ({
    path,
    ref: { digest, sizeBytes },
    async *read() {
      yield contents.get(path) ?? new Uint8Array();
    },
  }));
}

/** The version as an engine is given it, its files below `folder`. */
export async function servableOf(folder: string, label: string, { manifest, contents }: ImportedVersion): Promise<ServableSpec> {
  const paths: Record<string, string> = {};
  for (const { path, digest } of manifest.artifacts) {
    paths[digest] = join(folder, label.replaceAll(/\W/g, '-'), path);
    await mkdir(dirname(paths[digest]), { recursive: true });
    await writeFile(paths[digest], contents.get(path) ?? new Uint8Array());
  }
  const id = `${label}@${refOf(encodeManifest(manifest)).digest}` as ServableId;
  return { id, label, manifest, paths };
}
