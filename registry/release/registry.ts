import type { AliasEvent } from '../model/alias.ts';
import type { Model } from '../model/model.ts';
import type { Rollout } from '../model/rollout.ts';
import type { Version } from '../model/version.ts';
import { type CollectedGarbage, type CollectGarbageCommand, collectGarbage } from './collect-garbage.ts';
import { type CreateModelCommand, createModel } from './create-model.ts';
import type { BlobUploadState } from './declared-blobs.ts';
import { type DeleteVersionCommand, deleteVersion } from './delete.ts';
import type { RegistryDeps } from './dependencies.ts';
import { type DeprecateVersionCommand, deprecateVersion, undeprecateVersion } from './deprecate.ts';
import { FeedFollower } from './feed-follower.ts';
import { FeedTail } from './feed-tail.ts';
import { type FinalizedVersion, type FinalizeVersionCommand, finalizeVersion } from './finalize.ts';
import { type ListAliasEventsQuery, listAliasEvents } from './history.ts';
import { getModel, getVersion, type ListModelsQuery, type ListVersionsQuery, listModels, listVersions } from './list.ts';
import type { Page } from './page.ts';
import { type AliasMove, type PromoteVersionCommand, promoteVersion } from './promote.ts';
import { type PrefetchVersionCommand, prefetchVersion } from './prefetch.ts';
import type { PrefetchWish } from './prefetch-wishes.ts';
import { type ReadBlobQuery, readBlob } from './read-blob.ts';
import { type ReportServablesCommand, reportServables } from './report-servables.ts';
import { type ResolvedVersion, type ResolveVersionQuery, resolveVersion } from './resolve.ts';
import { type RollbackAliasCommand, rollbackAlias } from './rollback.ts';
import { getRollout, type RolloutEvent, type RolloutQuery, type WatchRolloutQuery, watchRollout } from './rollout.ts';
import { getStaging, type StagedVersion, type StageVersionCommand, stageVersion } from './stage.ts';
import { type SpareChunks, type UploadBlobCommand, uploadBlob } from './upload.ts';
import { type WatchAliasesQuery, type WatchEvent, watchAliases } from './watch.ts';
import { WishBoard } from './wish-board.ts';

/** What a registry does, one method a call of the contract. Each is one use case; its file says what it promises. */
export interface Registry {
  createModel(command: CreateModelCommand, signal: AbortSignal): Promise<Model>;
  getModel(name: string, signal: AbortSignal): Promise<Model>;
  listModels(query: ListModelsQuery, signal: AbortSignal): Promise<Page<Model>>;
  getVersion(query: { readonly model: string; readonly version: number }, signal: AbortSignal): Promise<Version>;
  listVersions(query: ListVersionsQuery, signal: AbortSignal): Promise<Page<Version>>;
  stageVersion(command: StageVersionCommand, signal: AbortSignal): Promise<StagedVersion>;
  getStaging(stagingId: string, signal: AbortSignal): Promise<StagedVersion>;
  uploadBlob(command: UploadBlobCommand, signal: AbortSignal): Promise<BlobUploadState>;
  finalizeVersion(command: FinalizeVersionCommand, signal: AbortSignal): Promise<FinalizedVersion>;
  resolveVersion(query: ResolveVersionQuery, signal: AbortSignal): Promise<ResolvedVersion>;
  readBlob(query: ReadBlobQuery, signal: AbortSignal): AsyncIterable<Uint8Array>;
  promoteVersion(command: PromoteVersionCommand, signal: AbortSignal): Promise<AliasMove>;
  rollbackAlias(command: RollbackAliasCommand, signal: AbortSignal): Promise<AliasMove>;
  listAliasEvents(query: ListAliasEventsQuery, signal: AbortSignal): Promise<Page<AliasEvent>>;
  watchAliases(query: WatchAliasesQuery, signal: AbortSignal): AsyncIterable<WatchEvent>;
  reportServables(command: ReportServablesCommand, signal: AbortSignal): Promise<{ readonly expireAfterMs: number }>;
  getRollout(query: RolloutQuery, signal: AbortSignal): Promise<Rollout>;
  watchRollout(query: WatchRolloutQuery, signal: AbortSignal): AsyncIterable<RolloutEvent>;
  prefetchVersion(command: PrefetchVersionCommand, signal: AbortSignal): Promise<PrefetchWish>;
  deprecateVersion(command: DeprecateVersionCommand, signal: AbortSignal): Promise<Version>;
  undeprecateVersion(command: Omit<DeprecateVersionCommand, 'reason'>, signal: AbortSignal): Promise<Version>;
  deleteVersion(command: DeleteVersionCommand, signal: AbortSignal): Promise<void>;
  collectGarbage(command: CollectGarbageCommand, signal: AbortSignal): Promise<CollectedGarbage>;
}

export interface RegistrySettings {
  /** How often the feed is asked for the changes of other processes while somebody watches. */
  readonly feedPollMs: number;
  /** How long an inference server that says nothing more counts as there. */
  readonly serverTtlMs: number;
}

/** What servers report and are to prefetch on other replicas may be known a second later than a promotion: that saves requests. */
const LIVE_POLL_FACTOR = 4;

export function createRegistry(deps: RegistryDeps, settings: RegistrySettings): Registry {
  const { catalog, reports, wishes, clock } = deps;
  const livePollMs = settings.feedPollMs * LIVE_POLL_FACTOR;
  const following = {
    ...deps,
    follower: new FeedFollower(catalog, clock, { pollMs: settings.feedPollMs }),
    feedTail: new FeedTail(catalog),
    reportsFollower: new FeedFollower({ feedHead: (signal) => reports.head(signal) }, clock, { pollMs: livePollMs }),
    wishesFollower: new FeedFollower({ feedHead: (signal) => wishes.head(signal) }, clock, { pollMs: livePollMs }),
    wishBoard: new WishBoard(wishes, clock),
  };
  const spareChunks: SpareChunks = [];
  return {
    createModel: (command, signal) => createModel(deps, command, signal),
    getModel: (name, signal) => getModel(deps, name, signal),
    listModels: (query, signal) => listModels(deps, query, signal),
    getVersion: (query, signal) => getVersion(deps, query, signal),
    listVersions: (query, signal) => listVersions(deps, query, signal),
    stageVersion: (command, signal) => stageVersion(deps, command, signal),
    getStaging: (stagingId, signal) => getStaging(deps, stagingId, signal),
    uploadBlob: (command, signal) => uploadBlob(deps, spareChunks, command, signal),
    finalizeVersion: (command, signal) => finalizeVersion(deps, command, signal),
    resolveVersion: (query, signal) => resolveVersion(deps, query, signal),
    readBlob: (query, signal) => readBlob(deps, query, signal),
    promoteVersion: (command, signal) => promoteVersion(following, command, signal),
    rollbackAlias: (command, signal) => rollbackAlias(following, command, signal),
    listAliasEvents: (query, signal) => listAliasEvents(deps, query, signal),
    watchAliases: (query, signal) => watchAliases(following, query, signal),
    reportServables: (command, signal) => reportServables(following, settings, command, signal),
    getRollout: (query, signal) => getRollout(following, query, signal),
    watchRollout: (query, signal) => watchRollout(following, query, signal),
    prefetchVersion: (command, signal) => prefetchVersion(following, command, signal),
    deprecateVersion: (command, signal) => deprecateVersion(deps, command, signal),
    undeprecateVersion: (command, signal) => undeprecateVersion(deps, command, signal),
    deleteVersion: (command, signal) => deleteVersion(deps, command, signal),
    collectGarbage: (command, signal) => collectGarbage(deps, command, signal),
  };
}
