import { CHUNK_BYTES } from '../../../proto/wire/chunks.ts';
import { refOf } from '../../../proto/wire/digest.ts';
import { isServiceError } from '../../../proto/wire/errors.ts';
import { systemClock } from '../../../registry/release/clock.ts';
import type { RegistryDeps } from '../../../registry/release/dependencies.ts';
import { createRegistry, type Registry } from '../../../registry/release/registry.ts';
import type { WatchEvent } from '../../../registry/release/watch.ts';
import { deferred } from '../deferred.ts';
import { collect, never, promotion, stage, upload } from './publish.ts';
import { type SampleVersion, sampleVersion, seededBytes } from './sample-version.ts';
import { reportOf, servableOf, servedOf } from './server-report.ts';

const SETTINGS = { feedPollMs: 100, serverTtlMs: 3_600_000 };
/** Two chunks, so that it is put together of parts. */
const LARGE = seededBytes('large', CHUNK_BYTES + 100);
const SMALL = seededBytes('small', 100);

/** What came out of every call, in order, and what a watcher on another replica saw. */
export interface Story {
  readonly answers: readonly (readonly [call: string, answer: unknown])[];
  readonly seen: readonly WatchEvent[];
}

/**
 * Takes a registry on the store through every call of the contract that keeps or changes something, each at least once, with a
 * request id again where it has one; another registry on the store watches. Two stories on empty stores at one time are the same.
 */
export async function tellStory(
  store: Pick<RegistryDeps, 'catalog' | 'blobs' | 'reports' | 'wishes'>,
  atMs: number,
): Promise<Story> {
  let ids = 0;
  const clock = { ...systemClock, nowMs: () => atMs };
  const registry = createRegistry({ ...store, clock, newId: () => `staging-${++ids}` }, SETTINGS);
  const startMs = performance.now();
  // Whoever waits needs a time that passes.
  const passing = { ...systemClock, nowMs: () => atMs + performance.now() - startMs };
  const replica = createRegistry({ ...store, clock: passing, newId: () => 'none' }, SETTINGS);
  const answers: [string, unknown][] = [];
  const tell = async (call: string, action: () => Promise<unknown>): Promise<void> => {
    answers.push([call, await action().catch(failureOf)]);
  };
  const isWatching = deferred();
  const watching = watchMoves(replica, 5, () => isWatching.resolve());
  await Promise.race([isWatching.promise, watching]);
  await release(registry, tell);
  await upkeep(registry, replica, tell);
  const seen = await watching;
  await look(replica, tell);
  return { answers, seen };
}

type Tell = (call: string, action: () => Promise<unknown>) => Promise<void>;

const MOVE = { model: 'm', actor: 'ada', reason: 'because' };

async function release(registry: Registry, tell: Tell): Promise<void> {
  const model = {
    name: 'm',
    kind: 'classification' as const,
    description: 'about',
    labels: { a: 'b', c: 'd' },
    requestId: 'create',
  };
  await tell('create', () => registry.createModel(model, never));
  await tell('create again', () => registry.createModel(model, never));
  const samples = [sampleVersion([LARGE, SMALL]), sampleVersion([SMALL]), sampleVersion([seededBytes('third', 5000)])];
  for (const [index, sample] of samples.entries()) {
    await tell(`publish ${index + 1}`, () => publish(registry, sample, `version ${index + 1}`));
  }
  for (const version of [1, 2, 3]) {
    const command = promotion({ ...MOVE, version, requestId: `promote ${version}`, expectedRevision: version - 1 });
    await tell(`promote ${version}`, () => registry.promoteVersion(command, never));
    await tell(`promote ${version} again`, () => registry.promoteVersion(command, never));
  }
  await tell('a lost race', () => registry.promoteVersion(promotion({ ...MOVE, expectedRevision: 1 }), never));
  await tell('canary', () => registry.promoteVersion(promotion({ ...MOVE, version: 1, alias: 'canary' }), never));
  const back = { ...MOVE, alias: 'production', expectedRevision: 3, requestId: 'rollback' };
  await tell('rollback', () => registry.rollbackAlias(back, never));
  await tell('rollback again', () => registry.rollbackAlias(back, never));
}

async function publish(registry: Registry, sample: SampleVersion, id: string): Promise<unknown> {
  const stagingId = await stage(registry, 'm', sample, `stage ${id}`);
  const again = await stage(registry, 'm', sample, `stage ${id}`);
  const uploads: unknown[] = [];
  for (const bytes of sample.files) {
    uploads.push(await upload(registry, stagingId, bytes));
  }
  const finalize = () => registry.finalizeVersion({ stagingId, requestId: `finalize ${id}` }, never);
  return { stagingId, again, uploads, finalized: await finalize(), finalizedAgain: await finalize() };
}

async function upkeep(registry: Registry, replica: Registry, tell: Tell): Promise<void> {
  await tell('deprecate', () => registry.deprecateVersion({ model: 'm', version: 1, reason: 'blurred' }, never));
  await tell('deprecate 2', () => registry.deprecateVersion({ model: 'm', version: 2, reason: 'by mistake' }, never));
  await tell('undeprecate', () => registry.undeprecateVersion({ model: 'm', version: 2 }, never));
  const deletion = { ...MOVE, version: 3, requestId: 'delete' };
  await tell('delete', () => registry.deleteVersion(deletion, never));
  await tell('delete again', () => registry.deleteVersion(deletion, never));
  await tell('delete what is used', () => registry.deleteVersion({ ...deletion, version: 2, requestId: '' }, never));
  const left = sampleVersion([seededBytes('left', CHUNK_BYTES + 1), seededBytes('behind', 10)]);
  await tell('leave a staging behind', async () => {
    const id = await stage(registry, 'm', left);
    await upload(registry, id, seededBytes('left', CHUNK_BYTES + 1), { upTo: CHUNK_BYTES });
    return upload(registry, id, seededBytes('behind', 10));
  });
  const { digest } = refOf(Buffer.from('manifest'));
  for (const [sequence, state] of ['loading', 'ready', 'ready'].entries()) {
    const servables = [servableOf(2, digest, { model: 'm', state: state === 'ready' ? 'ready' : 'loading' })];
    const aliases = [servedOf(2, digest, { model: 'm' })];
    await tell(`report ${state}`, () =>
      registry.reportServables(reportOf('one', { sequence: sequence + 1, servables, aliases }), never),
    );
  }
  await tell('report two', () => registry.reportServables(reportOf('two'), never));
  await tell('leave', () => registry.reportServables(reportOf('two', { sequence: 2, isStopping: true }), never));
  await tell('rollout', () => replica.getRollout({ model: 'm', alias: '' }, never));
  await tell('prefetch', () => registry.prefetchVersion({ model: 'm', version: 1, holdSeconds: 0 }, never));
  for (const isDryRun of [true, false, false]) {
    await tell(`collect ${isDryRun ? 'dry' : ''}`, () => registry.collectGarbage({ isDryRun, graceSeconds: 0 }, never));
  }
  await tell('publish the deleted again', () => publish(registry, sampleVersion([seededBytes('third', 5000)]), 'version 3 anew'));
}

async function look(registry: Registry, tell: Tell): Promise<void> {
  const page = { pageSize: 0, pageToken: '' };
  await tell('models', () => registry.listModels({ ...page, labels: { a: 'b', c: 'd' } }, never));
  await tell('versions', () => registry.listVersions({ ...page, model: 'm', labels: {} }, never));
  await tell('events', () => registry.listAliasEvents({ ...page, model: 'm', alias: '' }, never));
  await tell('events of one', () => registry.listAliasEvents({ ...page, model: 'm', alias: 'production' }, never));
  await tell('resolve', () => registry.resolveVersion({ model: 'm', ref: { kind: 'alias', alias: 'production' } }, never));
  for (const bytes of [LARGE, SMALL, seededBytes('third', 5000)]) {
    await tell('read', async () => {
      const read = await collect(registry.readBlob({ blob: refOf(bytes), offsetBytes: 0, lengthBytes: undefined }, never));
      return { isSame: read.equals(bytes) };
    });
  }
  await tell('read what was recorded', async () => {
    const { locations } = await registry.resolveVersion({ model: 'm', ref: { kind: 'version', version: 1 } }, never);
    const blob = refOf(SMALL);
    const places = locations.find(({ digest }) => digest === blob.digest)?.locations ?? [];
    const recorded = places.find(({ kind }) => kind === 's3');
    const objectVersion = recorded?.kind === 's3' ? recorded.versionId : '';
    const read = (version: string) =>
      collect(registry.readBlob({ blob, offsetBytes: 0, lengthBytes: undefined, objectVersion: version }, never));
    const isSame = (await read(objectVersion)).equals(SMALL);
    return { isRecorded: objectVersion !== '', isSame, another: await read('no-such-version').catch(failureOf) };
  });
  await tell('read what was collected', async () =>
    collect(registry.readBlob({ blob: refOf(seededBytes('behind', 10)), offsetBytes: 0, lengthBytes: undefined }, never)),
  );
}

/** The first `count` moves and the wish, as a watcher sees them who connects anew after each event. */
async function watchMoves(registry: Registry, count: number, onSnapshot: () => void): Promise<WatchEvent[]> {
  const moves: WatchEvent[] = [];
  const wishes = new Map<string, WatchEvent>();
  let cursor = '';
  while (moves.length < count || wishes.size === 0) {
    for await (const event of registry.watchAliases({ cursor, heartbeatSeconds: 60 }, never)) {
      cursor = event.cursor;
      if (event.kind === 'snapshot') {
        onSnapshot();
      } else if (event.kind === 'prefetch') {
        // Told again at each connection.
        wishes.set(`${event.wish.model}:${event.wish.version}`, { ...event, cursor: '', holdMs: 0 });
      } else if (event.kind === 'change') {
        moves.push({ ...event, cursor: '' });
        break;
      }
      if (moves.length >= count && wishes.size > 0) {
        break;
      }
    }
  }
  return [...moves, ...wishes.values()];
}

function failureOf(error: unknown): unknown {
  if (!isServiceError(error)) {
    throw error;
  }
  const { kind, reason, metadata } = error;
  return { kind, reason, metadata };
}
