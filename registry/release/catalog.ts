import type { BlobRef, Digest } from '../../proto/wire/digest.ts';
import type { AliasName, ModelName } from '../../proto/wire/names.ts';
import type { AliasEvent, AliasState } from '../model/alias.ts';
import type { Deletion, Deprecation } from '../model/deletion.ts';
import type { Labels } from '../model/labels.ts';
import type { Model, ModelRecord } from '../model/model.ts';
import type { Version, VersionDraft } from '../model/version.ts';
import type { Portion } from './portion.ts';

/**
 * The registry's database. Every write is one transaction: all of it or nothing, durable once the promise resolves, and seen
 * by every later read of any instance on the same store. Reads see finished writes only. No method walks a whole table.
 *
 * Errors of all methods: ServiceError unavailable STORAGE_UNAVAILABLE (busy or unreachable: try again), failed-precondition where
 * the operator has to change something first (`isMisconfigured`), resource-exhausted
 * STORAGE_FULL, and cancelled or deadline-exceeded when the signal aborts. Where the store is at the other end of a network a write
 * that ended so may have taken effect all the same; its request's record says whether it did.
 */
export interface Catalog extends ModelRecords, VersionRecords, StagingRecords, AliasRecords, ChangeFeed, RequestRecords {
  /** Whoever created the catalog closes it. */
  close(): void;
}

/** Names the items after a position, in the method's order. */
export interface Slice<P> {
  readonly labels: Labels;
  readonly after: P | undefined;
  readonly limit: number;
}

export interface ModelRecords {
  /** In one transaction with `request`. False, and nothing written, when the name is taken or the request is recorded already. */
  createModel(model: ModelRecord, request: RequestIdentity | undefined, signal: AbortSignal): Promise<boolean>;
  getModel(name: ModelName, signal: AbortSignal): Promise<Model | undefined>;
  /** Ordered by name; those that carry all of `labels`. A few reads, however few carry them. */
  listModels(slice: Slice<string>, signal: AbortSignal): Promise<Portion<Model, string>>;
  /** At most `limit` names next to where `name` stands or would stand in order, on both sides. */
  neighbouringNames(name: string, limit: number, signal: AbortSignal): Promise<string[]>;
}

export interface VersionRecords {
  /**
   * Freezes a staging's draft. In one transaction: the model's counter and the version with the next number, 1..n without
   * gaps, the references to its blobs, the staging's end, and `request` where there is one.
   * A manifest that the model has already gives that version and creates none; so does a staging that was finalized before.
   * @throws ServiceError not-found STAGING_NOT_FOUND, and nothing is written, when the staging is not there any more;
   *   failed-precondition VERSION_DELETED when the version that it became was deleted.
   */
  addVersion(
    stagingId: string,
    draft: VersionDraft,
    request: RequestIdentity | undefined,
    signal: AbortSignal,
  ): Promise<AddVersionResult>;
  /** Undefined for a number that was never given and for a deleted version. */
  getVersion(model: ModelName, version: number, signal: AbortSignal): Promise<Version | undefined>;
  /** Undefined unless the version was deleted. */
  getDeletion(model: ModelName, version: number, signal: AbortSignal): Promise<Deletion | undefined>;
  /** Sets the mark, or takes it away. The version as it is then; undefined, and nothing written, when there is none. */
  setDeprecation(
    version: Pick<Version, 'model' | 'version'>,
    deprecation: Deprecation | undefined,
    signal: AbortSignal,
  ): Promise<Version | undefined>;
  /**
   * In one transaction, on the condition that no alias points at the version: the version and its references to blobs are gone,
   * the deletion is recorded, the model's newest version is the newest one left, and `request` where there is one. A move of
   * an alias to it at the same time is a conflict, or makes this one `in-use`.
   */
  deleteVersion(deletion: Deletion, request: RequestIdentity | undefined, signal: AbortSignal): Promise<DeleteVersionResult>;
  /** Newest first; `after` is a version number. A few reads, as of models. */
  listVersions(model: ModelName, slice: Slice<number>, signal: AbortSignal): Promise<Portion<Version, number>>;
  /** Whether a finalized version refers to this blob, as its manifest or as an artifact. */
  isReferenced(blob: BlobRef, signal: AbortSignal): Promise<boolean>;
}

export type AddVersionResult =
  | { readonly kind: 'added'; readonly version: Version; readonly isCreated: boolean }
  | { readonly kind: 'request-exists' };

export type DeleteVersionResult =
  | { readonly kind: 'deleted' }
  /** There is no such version. */
  | { readonly kind: 'absent' }
  | { readonly kind: 'in-use'; readonly aliases: readonly AliasName[] }
  | { readonly kind: 'request-exists' };

/** A version in the making; no reader of versions sees it. */
export interface Staging {
  readonly id: string;
  readonly model: ModelName;
  readonly manifest: BlobRef;
  readonly labels: Labels;
  readonly createTimeMs: number;
  /** The version it became; 0 while it is open. */
  readonly version: number;
}

/** What has to be known of every staging that may still be finalized. */
export type OpenStaging = Pick<Staging, 'id' | 'manifest' | 'createTimeMs'>;

export interface StagingRecords {
  /** False, and nothing written, when the request is recorded already. */
  addStaging(staging: Staging, request: RequestIdentity | undefined, signal: AbortSignal): Promise<boolean>;
  getStaging(id: string, signal: AbortSignal): Promise<Staging | undefined>;
  /**
   * All open stagings, in any order. One that was added before the call is among them, unless it was finalized: then what its
   * version refers to is seen by every read after the call. One that was just finalized may be among them still.
   */
  openStagings(signal: AbortSignal): Promise<OpenStaging[]>;
  /** Ends an open staging: it can be finalized no more. False when it is not there or was finalized, and it stays as it is. */
  removeStaging(id: string, signal: AbortSignal): Promise<boolean>;
}

export interface AliasRecords {
  getAlias(model: ModelName, alias: AliasName, signal: AbortSignal): Promise<AliasState | undefined>;
  /**
   * Moves an alias to `event.state`. In one transaction, on the condition that the alias stands at the revision before
   * (does not exist, before revision 1) and that the version exists: the alias, the audit event, the feed's head and entry,
   * and `request` where there is one. `conflict`, and nothing written, when the condition does not hold or the request is
   * recorded already: read again.
   */
  moveAlias(event: AliasEvent, request: RequestIdentity | undefined, signal: AbortSignal): Promise<MoveResult>;
  /** The event that brought the alias to `revision`. */
  getAliasEvent(model: ModelName, alias: AliasName, revision: number, signal: AbortSignal): Promise<AliasEvent | undefined>;
  /**
   * The last event of the alias at or before a time; undefined when it did not exist then. Whoever moves an alias sees to it that
   * its events never go back in time. Takes a few reads, however long the history is.
   */
  aliasEventAt(model: ModelName, alias: AliasName, timeMs: number, signal: AbortSignal): Promise<FeedEntry | undefined>;
  /**
   * Newest first, of one alias or of all of the model; `before` is the feed's number of an event of the list.
   * @throws ServiceError invalid-argument INVALID_PAGE_TOKEN where one alias has no such event.
   */
  listAliasEvents(
    query: {
      readonly model: ModelName;
      readonly alias: AliasName | undefined;
      readonly before: number | undefined;
      readonly limit: number;
    },
    signal: AbortSignal,
  ): Promise<FeedEntry[]>;
}

export type MoveResult = { readonly kind: 'moved'; readonly sequence: number } | { readonly kind: 'conflict' };

/** A change at its place in the feed: 1, 2, 3, ... in the order in which the changes became visible. */
export interface FeedEntry {
  readonly sequence: number;
  readonly event: AliasEvent;
}

export interface ChangeFeed {
  /** The identity of this store's feed, `[A-Za-z0-9_-]{1,64}`, the same for every instance and after a restart. */
  readonly storeId: string;
  /** The sequence number of the newest change; 0 when there is none. Cheap: asked a few times a second. */
  feedHead(signal: AbortSignal): Promise<number>;
  /** All aliases exactly as they stood after the change `sequence`, ordered by model and alias. */
  snapshot(signal: AbortSignal): Promise<{ readonly sequence: number; readonly aliases: readonly AliasState[] }>;
  /**
   * At most `limit` changes after `sequence`, in order and without gaps; undefined when the feed does not cover that
   * position (beyond its head, as after a restored backup, or no longer kept).
   */
  readFeed(sequence: number, limit: number, signal: AbortSignal): Promise<readonly FeedEntry[] | undefined>;
}

export type Operation = 'create' | 'stage' | 'finalize' | 'promote' | 'rollback' | 'delete';

/** A request that must not take effect twice, and what it was answered. */
export interface RequestIdentity {
  readonly operation: Operation;
  readonly id: string;
  /** Of the request's content: the same id with another content is another request. */
  readonly fingerprint: Digest;
  /** What the answer can be built from again: a model's name, a staging id, or a number. `addVersion` fills in the number it assigns. */
  readonly subject: string;
  /** Whether this request changed something. */
  readonly isEffective: boolean;
}

export interface RequestRecords {
  findRequest(operation: Operation, id: string, signal: AbortSignal): Promise<RequestIdentity | undefined>;
  /** Records a request that changed nothing. False when it is recorded already. */
  addRequest(request: RequestIdentity, signal: AbortSignal): Promise<boolean>;
}
