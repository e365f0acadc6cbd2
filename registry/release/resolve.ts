import type { Digest } from '../../proto/wire/digest.ts';
import type { ModelName } from '../../proto/wire/names.ts';
import type { AliasState } from '../model/alias.ts';
import { RequestCheck } from '../model/request-check.ts';
import type { Version } from '../model/version.ts';
import type { BlobLocation } from './blob-store.ts';
import { readManifestBytes } from './declared-blobs.ts';
import type { RegistryDeps } from './dependencies.ts';
import { aliasNotFound, missingVersion, requireModel, versionNotFound } from './not-found.ts';

export interface ResolveVersionQuery {
  readonly model: string;
  /** "latest" is the newest finalized version. */
  readonly ref:
    | { readonly kind: 'version'; readonly version: number }
    | { readonly kind: 'alias'; readonly alias: string }
    | undefined;
}

export interface ArtifactLocations {
  readonly digest: Digest;
  /** In order of preference; the registry itself is always the last. */
  readonly locations: readonly (BlobLocation | { readonly kind: 'registry' })[];
}

export interface ResolvedVersion {
  readonly version: Version;
  /** Set when an alias other than "latest" was resolved. */
  readonly alias: AliasState | undefined;
  readonly manifestJson: Uint8Array;
  /** For the manifest and every distinct blob of its artifacts. */
  readonly locations: readonly ArtifactLocations[];
}

/** @throws ServiceError not-found MODEL_NOT_FOUND, VERSION_NOT_FOUND or ALIAS_NOT_FOUND; invalid-argument INVALID_REQUEST. */
export async function resolveVersion(
  deps: RegistryDeps,
  query: ResolveVersionQuery,
  signal: AbortSignal,
): Promise<ResolvedVersion> {
  const check = new RequestCheck();
  const model = check.modelName(query.model, 'model');
  const ref = checkRef(check, query.ref);
  if (model === undefined || ref === undefined) {
    throw check.error();
  }
  const { version, alias } = await find(deps, model, ref, signal);
  const manifestJson = await readManifestBytes(deps.blobs, version.manifest, signal);
  const locations = new Map<Digest, ArtifactLocations>();
  for (const blob of [version.manifest, ...version.artifacts]) {
    const { digest } = blob;
    locations.set(digest, { digest, locations: [...deps.blobs.locations(blob), { kind: 'registry' }] });
  }
  return { version, alias, manifestJson, locations: [...locations.values()] };
}

type CheckedRef = NonNullable<ResolveVersionQuery['ref']> | { readonly kind: 'latest' };

function checkRef(check: RequestCheck, ref: ResolveVersionQuery['ref']): CheckedRef | undefined {
  if (ref === undefined) {
    return check.violation('ref', 'expected a version or an alias');
  }
  if (ref.kind === 'version') {
    return check.version(ref.version, 'version') === undefined ? undefined : ref;
  }
  if (ref.alias === 'latest') {
    return { kind: 'latest' };
  }
  return check.aliasName(ref.alias, 'alias') === undefined ? undefined : ref;
}

interface Found {
  readonly version: Version;
  readonly alias: AliasState | undefined;
}

async function find(deps: RegistryDeps, name: ModelName, ref: CheckedRef, signal: AbortSignal): Promise<Found> {
  const found = await read(deps, name, ref, signal);
  // Between the two reads the alias moved on and the version that it had pointed at was deleted, or the newest was: then the model
  // says another one now.
  const isMoved = typeof found === 'number' && ref.kind !== 'version';
  const last = isMoved ? await read(deps, name, ref, signal) : found;
  if (typeof last === 'number') {
    throw await missingVersion(deps.catalog, name, last, signal);
  }
  return last;
}

/** The number alone where there is no such version. */
async function read({ catalog }: RegistryDeps, name: ModelName, ref: CheckedRef, signal: AbortSignal): Promise<Found | number> {
  const model = await requireModel(catalog, name, signal);
  const alias = ref.kind === 'alias' ? model.aliases.find((state) => state.alias === ref.alias) : undefined;
  if (ref.kind === 'alias' && alias === undefined) {
    throw aliasNotFound(model, ref.alias);
  }
  const number = ref.kind === 'version' ? ref.version : (alias?.version ?? model.latestVersion);
  if (number === 0) {
    throw versionNotFound(model, 'latest');
  }
  const version = await catalog.getVersion(name, number, signal);
  return version === undefined ? number : { version, alias };
}
