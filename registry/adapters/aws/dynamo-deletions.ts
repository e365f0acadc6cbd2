import type { ModelName } from '../../../proto/wire/names.ts';
import type { Deletion, Deprecation } from '../../model/deletion.ts';
import type { Version } from '../../model/version.ts';
import type { DeleteVersionResult, RequestIdentity } from '../../release/catalog.ts';
import { integerOf, textOf } from './attributes.ts';
import { readSnapshot } from './dynamo-feed.ts';
import { newestOf } from './dynamo-models.ts';
import { requestWrites } from './dynamo-requests.ts';
import { type DynamoTable, MAX_TRANSACTION_ITEMS, type Write } from './dynamo-table.ts';
import { readVersion } from './dynamo-versions.ts';
import { LostRaceError } from './retry.ts';
import { keys, ranges } from './table-layout.ts';

/** By its place in the transaction. */
const REQUEST = 0;

/**
 * That no alias points at the version holds as of a place in the feed, and the deletion is on the condition that the feed's head is
 * still there: every move takes the next place.
 */
export function deleteVersion(
  table: DynamoTable,
  deletion: Deletion,
  request: RequestIdentity | undefined,
  signal: AbortSignal,
): Promise<DeleteVersionResult> {
  const { model, version: number } = deletion;
  return table.race(signal, async () => {
    if (request !== undefined && (await table.get(keys.request('delete', request.id), signal)) !== undefined) {
      return { kind: 'request-exists' };
    }
    const version = await readVersion(table, model, number, signal);
    if (version === undefined) {
      return { kind: 'absent' };
    }
    const { sequence, aliases } = await readSnapshot(table, signal, model);
    const pointing = aliases.filter((state) => state.version === number).map(({ alias }) => alias);
    if (pointing.length > 0) {
      return { kind: 'in-use', aliases: pointing };
    }
    const writes = [
      ...requestWrites(request),
      {
        kind: 'check' as const,
        key: keys.feedHead,
        condition: sequence === 0 ? ('absent' as const) : { attribute: 'sequence', equals: sequence },
      },
      ...removal(version, deletion),
      ...(await newestWrites(table, version, signal)),
    ];
    const labels = Object.entries(version.labels).map(([key, value]) => ({
      kind: 'delete' as const,
      key: keys.versionLabel(model, key, value, number),
    }));
    const room = MAX_TRANSACTION_ITEMS - writes.length;
    const failed = await table.transact([...writes, ...labels.slice(0, room)], signal);
    if (request !== undefined && failed.has(REQUEST)) {
      return { kind: 'request-exists' };
    }
    if (failed.size > 0) {
      throw new LostRaceError(`${model}:${number}, an alias or the newest version changed in between`);
    }
    if (labels.length > room) {
      // An entry alone says nothing; a crash before this leaves some that nobody takes for a version.
      await table.transact(labels.slice(room), signal);
    }
    return { kind: 'deleted' };
  });
}

export async function readDeletion(
  table: DynamoTable,
  model: ModelName,
  version: number,
  signal: AbortSignal,
): Promise<Deletion | undefined> {
  const row = await table.get(keys.deletion(model, version), signal);
  return row === undefined
    ? undefined
    : {
        model,
        version,
        actor: { name: textOf(row, 'actor'), isVerified: row['isActorVerified'] === true },
        reason: textOf(row, 'reason'),
        timeMs: integerOf(row, 'timeMs'),
      };
}

export async function writeDeprecation(
  table: DynamoTable,
  { model, version }: Pick<Version, 'model' | 'version'>,
  deprecation: Deprecation | undefined,
  signal: AbortSignal,
): Promise<Version | undefined> {
  const value = deprecation === undefined ? false : { ...deprecation };
  const key = keys.version(model, version);
  const failed = await table.transact([{ kind: 'set', key, attribute: 'deprecation', value, condition: 'present' }], signal);
  return failed.size > 0 ? undefined : readVersion(table, model, version, signal);
}

function removal({ model, version, manifest, artifacts }: Version, { actor, reason, timeMs }: Deletion): Write[] {
  const blobs = new Set([manifest, ...artifacts].map(({ digest, sizeBytes }) => keys.blob(digest, sizeBytes, model, version)));
  const references = new Map([...blobs].map((key) => [`${key.pk} ${key.sk}`, key]));
  return [
    { kind: 'delete', key: keys.version(model, version), condition: 'present' },
    { kind: 'delete', key: keys.manifest(model, manifest.digest), condition: { attribute: 'version', equals: version } },
    {
      kind: 'put',
      key: keys.deletion(model, version),
      item: { actor: actor.name, isActorVerified: actor.isVerified, reason, timeMs },
    },
    ...[...references.values()].map((key) => ({ kind: 'delete' as const, key })),
  ];
}

/** Keeps what the model says of its newest version true, or what that was read from as it was. */
async function newestWrites(table: DynamoTable, { model, version }: Version, signal: AbortSignal): Promise<Write[]> {
  const row = await table.get(keys.model(model), signal);
  if (row === undefined) {
    throw new Error(`model "${model}" of a version does not exist`);
  }
  const newest = newestOf(row);
  if (newest !== version) {
    return [{ kind: 'check', key: keys.version(model, newest), condition: 'present' }];
  }
  const { pk, sk } = keys.version(model, version);
  const [older] = await table.query({ pk, range: ranges.before(sk), limit: 1, isDescending: true }, signal);
  const count = integerOf(row, 'latestVersion');
  const left = older === undefined ? 0 : Number(textOf(older, 'sk'));
  const set: Write = {
    kind: 'set',
    key: keys.model(model),
    attribute: 'afterDeletion',
    value: { count, newest: left },
    condition: { attribute: 'latestVersion', equals: count },
  };
  return left === 0 ? [set] : [set, { kind: 'check', key: keys.version(model, left), condition: 'present' }];
}
