import type { Digest } from '../../proto/wire/digest.ts';
import { ServiceError } from '../../proto/wire/errors.ts';
import {
  MAX_MANIFEST_BYTES,
  type Manifest,
  type ManifestArtifact,
  parseManifest,
  servingArtifacts,
} from '../../proto/wire/manifest.ts';
import type { ArtifactCache } from '../cache/artifact-cache.ts';
import type { Pin } from '../cache/pins.ts';
import type { ModelSource, ResolvedVersion } from './model-source.ts';
import type { VersionKey } from './servable.ts';

export interface FetchedVersion {
  readonly manifest: Manifest;
  /** Absolute path by artifact digest. */
  readonly paths: Readonly<Record<Digest, string>>;
  /** Keeps the files from eviction; to be disposed when the version is forgotten. */
  readonly pin: Pin;
}

export interface FetchDeps {
  readonly source: ModelSource;
  readonly cache: ArtifactCache;
  /** @throws ServiceError failed-precondition UNSUPPORTED_MODEL for what the engines cannot run: asked before any byte is fetched. */
  readonly checkSupported: (manifest: Manifest, label: string) => void;
}

/**
 * Brings a version's manifest and serving artifacts into the cache. What the cache holds already is verified there and costs no
 * call to anyone; so a server starts with registry and storage down.
 * @throws ServiceError as ModelSource.resolve and ArtifactCache.ensure do.
 */
export async function fetchVersion(key: VersionKey, deps: FetchDeps, signal: AbortSignal): Promise<FetchedVersion> {
  const { source, cache } = deps;
  let resolved: ResolvedVersion | undefined;
  const resolve = async (): Promise<ResolvedVersion> => {
    resolved ??= await resolveExactly(key, source, signal);
    return resolved;
  };

  const cached = await cache.readSmall(key.manifest, MAX_MANIFEST_BYTES, signal);
  const manifest = cached === undefined ? (await resolve()).manifest : parseManifest(cached);
  deps.checkSupported(manifest, `${key.model}:${key.version}`);
  const artifacts = servingArtifacts(manifest);
  // Before anything comes in: what is not pinned may be evicted again at once.
  const pin = await cache.pin([key.manifest, ...artifacts]);
  try {
    if (cached === undefined) {
      await cache.put(key.manifest, (await resolve()).manifestBytes, signal);
    }
    const paths: Record<Digest, string> = {};
    for (const artifact of artifacts) {
      paths[artifact.digest] = await bringIn(artifact, cache, resolve, signal);
    }
    return { manifest, paths, pin };
  } catch (error) {
    pin[Symbol.dispose]();
    throw error;
  }
}

async function bringIn(
  artifact: ManifestArtifact,
  cache: ArtifactCache,
  resolve: () => Promise<ResolvedVersion>,
  signal: AbortSignal,
): Promise<string> {
  const held = await cache.lookup(artifact, signal);
  if (held !== undefined) {
    return held;
  }
  const resolved = await resolve();
  return (await cache.ensure(artifact, resolved.sourcesOf(artifact), signal)).path;
}

async function resolveExactly(key: VersionKey, source: ModelSource, signal: AbortSignal): Promise<ResolvedVersion> {
  const { model, version, manifest } = key;
  const resolved = await source.resolve({ model, selector: { kind: 'version', version } }, signal);
  if (resolved.manifestRef.digest !== manifest.digest) {
    throw new ServiceError(
      'data-loss',
      'DIGEST_MISMATCH',
      `${model}:${version}: expected manifest ${manifest.digest}, the registry now says ${resolved.manifestRef.digest}`,
    );
  }
  return resolved;
}
