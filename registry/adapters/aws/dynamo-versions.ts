import type { BlobRef, Digest } from '../../../proto/wire/digest.ts';
import { ServiceError } from '../../../proto/wire/errors.ts';
import type { ManifestLineage } from '../../../proto/wire/manifest.ts';
import type { ModelName } from '../../../proto/wire/names.ts';
import type { Deprecation } from '../../model/deletion.ts';
import type { Labels } from '../../model/labels.ts';
import type { ModelKind } from '../../model/model.ts';
import type { ArtifactRecord, Version, VersionDraft } from '../../model/version.ts';
import type { AddVersionResult, OpenStaging, RequestIdentity, Slice, Staging } from '../../release/catalog.ts';
import { type Portion, portionOf } from '../../release/portion.ts';
import { type Attributes, integerOf, type Row, textOf } from './attributes.ts';
import { readLabelled } from './dynamo-labelled.ts';
import { requestWrites } from './dynamo-requests.ts';
import { type DynamoTable, MAX_TRANSACTION_ITEMS, type Write } from './dynamo-table.ts';
import { LostRaceError } from './retry.ts';
import { type Key, keys, ranges } from './table-layout.ts';

/** What takes part in the transaction is numbered by its place in it. */
const STAGING = 0;
const REQUEST = 1;

export function addVersion(
  table: DynamoTable,
  stagingId: string,
  draft: VersionDraft,
  request: RequestIdentity | undefined,
  signal: AbortSignal,
): Promise<AddVersionResult> {
  return table.race(signal, async () => {
    const existing = await readVersionOf(table, draft, signal);
    const version = existing ?? { ...draft, version: (await readLatest(table, draft.model, signal)) + 1 };
    const isCreated = existing === undefined;
    const record = request && { ...request, subject: String(version.version), isEffective: isCreated };
    const ending: Write[] = [
      {
        kind: 'set',
        key: keys.staging(stagingId),
        attribute: 'version',
        value: version.version,
        // A staging becomes one version: when that was deleted, no other.
        condition: isCreated ? { attribute: 'version', equals: 0 } : 'present',
      },
      ...requestWrites(record),
    ];
    const failed = await table.transact(isCreated ? await withVersion(table, ending, version, signal) : ending, signal);
    if (failed.has(STAGING)) {
      await throwIfEnded(table, stagingId, signal);
    }
    if (record !== undefined && failed.has(REQUEST)) {
      return { kind: 'request-exists' };
    }
    if (failed.size > 0) {
      // Another version of the model, or this very one, was added in between.
      throw new LostRaceError(`${draft.model}:${version.version} is taken`);
    }
    // Not in the transaction, whose items become visible one by one: whoever finds no entry any more sees all that the version refers to.
    await table.transact([endOfEntry(stagingId)], signal);
    return { kind: 'added', version, isCreated };
  });
}

export async function readVersion(
  table: DynamoTable,
  model: ModelName,
  version: number,
  signal: AbortSignal,
): Promise<Version | undefined> {
  const row = await table.get(keys.version(model, version), signal);
  return row === undefined ? undefined : toVersion(row);
}

export async function readVersions(
  table: DynamoTable,
  model: ModelName,
  { labels, after, limit }: Slice<number>,
  signal: AbortSignal,
): Promise<Portion<Version, number>> {
  const range = after === undefined ? ranges.all : ranges.before(keys.version(model, after).sk);
  const [first] = Object.entries(labels);
  if (first !== undefined) {
    const { pk } = keys.versionLabel(model, ...first, 0);
    const itemOf = (sk: string): Key => keys.version(model, Number(sk));
    const entries = { pk, range, isDescending: true };
    const { items, next } = await readLabelled(table, entries, itemOf, { labels, limit }, signal);
    return { items: items.map(toVersion), next: next === undefined ? undefined : Number(next) };
  }
  const { pk } = keys.version(model, 0);
  const rows = await table.query({ pk, range, limit, isDescending: true }, signal);
  return portionOf(rows.map(toVersion), limit, ({ version }) => version);
}

export async function isBlobReferenced(
  table: DynamoTable,
  { digest, sizeBytes }: BlobRef,
  signal: AbortSignal,
): Promise<boolean> {
  const { pk } = keys.blob(digest, sizeBytes, '', 0);
  return (await table.query({ pk, range: ranges.blobOfSize(sizeBytes), limit: 1 }, signal)).length > 0;
}

export async function writeStaging(
  table: DynamoTable,
  staging: Staging,
  request: RequestIdentity | undefined,
  signal: AbortSignal,
): Promise<boolean> {
  const { id, model, manifest, labels, createTimeMs, version } = staging;
  const item = { model, ...manifestAttributes(manifest), labels, createTimeMs, version };
  const entry = { ...manifestAttributes(manifest), createTimeMs };
  const writes: Write[] = [
    { kind: 'put', key: keys.staging(id), item },
    { kind: 'put', key: keys.openStaging(id), item: entry },
    ...requestWrites(request),
  ];
  return (await table.transact(writes, signal)).size === 0;
}

export async function readStaging(table: DynamoTable, id: string, signal: AbortSignal): Promise<Staging | undefined> {
  const row = await table.get(keys.staging(id), signal);
  return row === undefined ? undefined : toStaging(row);
}

export async function readOpenStagings(table: DynamoTable, signal: AbortSignal): Promise<OpenStaging[]> {
  const rows = await table.query({ pk: keys.openStaging('').pk }, signal);
  return rows.map((row) => ({ id: textOf(row, 'sk'), manifest: manifestRef(row), createTimeMs: integerOf(row, 'createTimeMs') }));
}

export async function removeStaging(table: DynamoTable, id: string, signal: AbortSignal): Promise<boolean> {
  const condition = { attribute: 'version', equals: 0 };
  const staging: Write = { kind: 'delete', key: keys.staging(id), condition };
  if ((await table.transact([staging, endOfEntry(id)], signal)).size === 0) {
    return true;
  }
  // Whoever finalized it may have crashed before taking its entry away.
  await table.settle(signal);
  await table.transact([endOfEntry(id)], signal);
  return false;
}

function endOfEntry(stagingId: string): Write {
  return { kind: 'delete', key: keys.openStaging(stagingId) };
}

function toStaging(row: Row): Staging {
  return {
    id: textOf(row, 'pk').slice(keys.staging('').pk.length),
    model: textOf(row, 'model') as ModelName,
    manifest: manifestRef(row),
    labels: row['labels'] as Labels,
    createTimeMs: integerOf(row, 'createTimeMs'),
    version: integerOf(row, 'version'),
  };
}

/** The attributes that name a manifest, in whichever item they stand. */
export function manifestAttributes({ digest, sizeBytes }: BlobRef): Attributes {
  return { manifestDigest: digest, manifestSizeBytes: sizeBytes };
}

export function manifestRef(row: Row): BlobRef {
  return { digest: textOf(row, 'manifestDigest') as Digest, sizeBytes: integerOf(row, 'manifestSizeBytes') };
}

async function throwIfEnded(table: DynamoTable, stagingId: string, signal: AbortSignal): Promise<void> {
  const staging = await readStaging(table, stagingId, signal);
  if (staging === undefined) {
    throw new ServiceError('not-found', 'STAGING_NOT_FOUND', `staging "${stagingId}" does not exist any more`);
  }
  const { model, version } = staging;
  if (version !== 0 && (await table.get(keys.deletion(model, version), signal)) !== undefined) {
    const message = `staging "${stagingId}" became ${model}:${version}, which was deleted`;
    throw new ServiceError('failed-precondition', 'VERSION_DELETED', message);
  }
}

/** The model's version with the draft's manifest. */
async function readVersionOf(
  table: DynamoTable,
  { model, manifest }: VersionDraft,
  signal: AbortSignal,
): Promise<Version | undefined> {
  const row = await table.get(keys.manifest(model, manifest.digest), signal);
  return row === undefined ? undefined : readVersion(table, model, integerOf(row, 'version'), signal);
}

async function readLatest(table: DynamoTable, model: ModelName, signal: AbortSignal): Promise<number> {
  const row = await table.get(keys.model(model), signal);
  if (row === undefined) {
    throw new Error(`model "${model}" of a staging does not exist`);
  }
  return integerOf(row, 'latestVersion');
}

/**
 * The writes that make a version. With many artifacts and many labels they are more than one transaction takes; then label
 * entries are written before it. An entry alone says nothing: whoever finds one looks at the version itself.
 */
async function withVersion(
  table: DynamoTable,
  ending: readonly Write[],
  version: Version,
  signal: AbortSignal,
): Promise<readonly Write[]> {
  const { model, version: number, manifest } = version;
  const blobs = new Map([manifest, ...version.artifacts].map((blob) => [`${blob.digest} ${blob.sizeBytes}`, blob]));
  const writes: Write[] = [
    ...ending,
    {
      kind: 'set',
      key: keys.model(model),
      attribute: 'latestVersion',
      value: number,
      condition: { attribute: 'latestVersion', equals: number - 1 },
    },
    { kind: 'put', key: keys.version(model, number), item: toItem(version), condition: 'absent' },
    { kind: 'put', key: keys.manifest(model, manifest.digest), item: { version: number }, condition: 'absent' },
    ...[...blobs.values()].map(({ digest, sizeBytes }) => ({
      kind: 'put' as const,
      key: keys.blob(digest, sizeBytes, model, number),
      item: {},
    })),
  ];
  const labels = Object.entries(version.labels).map(([key, value]) => ({
    kind: 'put' as const,
    key: keys.versionLabel(model, key, value, number),
    item: {},
  }));
  const room = MAX_TRANSACTION_ITEMS - writes.length;
  if (labels.length > room) {
    await table.transact(labels.slice(room), signal);
  }
  return [...writes, ...labels.slice(0, room)];
}

function toItem(version: Version): Attributes {
  const { manifest, kind, family, artifacts, lineage, labels, createTimeMs } = version;
  return {
    ...manifestAttributes(manifest),
    kind,
    family,
    artifacts: artifacts.map(({ path, role, mediaType, digest, sizeBytes, place }) => ({
      path,
      role,
      mediaType,
      digest,
      sizeBytes,
      ...(place !== undefined && { place: { ...place } }),
    })),
    // As text: a metric may be any number, and DynamoDB's do not reach as far.
    lineage: JSON.stringify(lineage),
    labels,
    createTimeMs,
  };
}

function toVersion(row: Row): Version {
  const deprecation = row['deprecation'];
  return {
    model: textOf(row, 'pk').slice(keys.version('', 0).pk.length) as ModelName,
    version: Number(textOf(row, 'sk')),
    manifest: manifestRef(row),
    kind: textOf(row, 'kind') as ModelKind,
    family: textOf(row, 'family'),
    artifacts: row['artifacts'] as ArtifactRecord[],
    lineage: JSON.parse(textOf(row, 'lineage')) as ManifestLineage,
    labels: row['labels'] as Labels,
    createTimeMs: integerOf(row, 'createTimeMs'),
    ...(typeof deprecation === 'object' && { deprecation: deprecation as Deprecation }),
  };
}
