import type { BlobRef, Digest } from '../../proto/wire/digest.ts';
import type { ServiceError } from '../../proto/wire/errors.ts';
import type { Manifest } from '../../proto/wire/manifest.ts';
import type { ModelName } from '../../proto/wire/names.ts';

declare const servableBrand: unique symbol;

/**
 * A version and its content. The number alone would not do: a registry that was set up anew may give NAME:1 to other bytes than
 * those that a cache knows by this name.
 */
export type ServableId = string & { readonly [servableBrand]: true };

export interface VersionKey {
  readonly model: ModelName;
  readonly version: number;
  readonly manifest: BlobRef;
}

export function servableId({ model, version, manifest }: VersionKey): ServableId {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the brand is given here and below only
  return `${model}:${version}@${manifest.digest}` as ServableId;
}

/** Of a version that no registry numbered. */
export function localServableId(manifest: BlobRef): ServableId {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as above
  return `local@${manifest.digest}` as ServableId;
}

/** A version for an engine to load: its manifest, and where the cache holds each serving artifact. */
export interface ServableSpec {
  readonly id: ServableId;
  /** `NAME:version`, for messages. */
  readonly label: string;
  readonly manifest: Manifest;
  /** Absolute path by artifact digest. The engine verifies what it reads there. */
  readonly paths: Readonly<Record<Digest, string>>;
}

/** Servables loaded together, replaced together. */
export interface LoadedSet {
  has(id: ServableId): boolean;
}

export interface FailedLoad {
  readonly id: ServableId;
  readonly error: ServiceError;
  /** The artifact whose bytes were not what its digest says, if that was it. */
  readonly corrupt?: Digest;
}

/** PORT: loads servables beside whatever is loaded already. */
export interface Loader<G extends LoadedSet> {
  /**
   * All of them loaded, warmed up and ready, or what failed and nothing loaded.
   * @throws ServiceError when no single servable is to blame; the signal's reason when aborted.
   */
  load(specs: readonly ServableSpec[], signal: AbortSignal): Promise<G | readonly FailedLoad[]>;
  /** Gives everything back; resolves when it is gone. Must not throw. */
  dispose(set: G): Promise<void>;
}
