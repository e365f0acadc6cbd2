import { randomUUID } from 'node:crypto';
import type { Alias, AliasEvent, Deprecation, Model, ModelKind, Version } from '../proto/gen/maskterial/registry/v1/model.ts';
import {
  type PromoteVersionResponse,
  RegistryServiceClient,
  type ResolveVersionResponse,
  type RollbackAliasResponse,
  type WatchAliasesResponse,
} from '../proto/gen/maskterial/registry/v1/registry_service.ts';
import type { Rollout } from '../proto/gen/maskterial/registry/v1/rollout.ts';
import { callUnary } from '../proto/wire/calls.ts';
import { isServiceError, ServiceError } from '../proto/wire/errors.ts';
import type { ModelReference } from '../proto/wire/names.ts';
import { type ClientCallOptions, type ConnectionSettings, connect, createCaller } from './channel.ts';
import { pages } from './pages.ts';
import { type PublishedVersion, type PublishRequest, publishVersion } from './publish.ts';
import { required } from './required.ts';
import { type RetryDeps, SYSTEM_RETRY_DEPS } from './retry.ts';
import { createUpkeep, type UpkeepCalls } from './upkeep.ts';
import { watchAliases, watchRollout } from './watch.ts';

export type Labels = Readonly<Record<string, string>>;

export interface NewModel {
  readonly name: string;
  readonly kind: ModelKind;
  readonly description?: string;
  readonly labels?: Labels;
}

/** Who moves an alias and why, for the audit history. */
export interface MoveOptions extends ClientCallOptions {
  /** Unset: unconditional. 0: the alias must not exist yet. n: it must stand at revision n. */
  readonly expectedRevision?: number | undefined;
  readonly reason?: string | undefined;
  readonly actor?: string | undefined;
}

export interface PromoteOptions extends MoveOptions {
  /** Inference servers that must hold the version ready. */
  readonly requireReady?: number | undefined;
}

export interface ListOptions extends ClientCallOptions {
  /** Exact matches; all of them must hold. */
  readonly labels?: Labels | undefined;
}

/**
 * The registry over gRPC. Everything throws ServiceError with the server's kind and reason; `unavailable` and
 * `resource-exhausted` are retried first. Calls that change something carry a request id, so that a retry changes it once.
 */
export interface RegistryClient extends UpkeepCalls {
  readonly address: string;
  /** @throws already-exists MODEL_EXISTS. */
  createModel(model: NewModel, options?: ClientCallOptions): Promise<Model>;
  /** @throws not-found MODEL_NOT_FOUND. */
  getModel(name: string, options?: ClientCallOptions): Promise<Model>;
  /** The model of that name, created now if there is none; an existing one is left as it is. */
  ensureModel(model: NewModel, options?: ClientCallOptions): Promise<{ readonly model: Model; readonly created: boolean }>;
  /** By name; pages are fetched as the loop goes on. */
  listModels(options?: ListOptions): AsyncIterable<Model>;
  getVersion(model: string, version: number, options?: ClientCallOptions): Promise<Version>;
  /** Newest first. */
  listVersions(model: string, options?: ListOptions): AsyncIterable<Version>;
  /** Stages, uploads what the registry lacks, finalizes. See publish.ts. */
  publishVersion(request: PublishRequest, options?: ClientCallOptions): Promise<PublishedVersion>;
  resolve(reference: ModelReference, options?: ClientCallOptions): Promise<ResolveVersionResponse>;
  /**
   * With the advice against the version, where there is one.
   * @throws aborted REVISION_CONFLICT with metadata current_revision; failed-precondition VERSION_DELETED or NOT_ENOUGH_READY with metadata ready and
   * required.
   */
  promote(
    model: string,
    version: number,
    alias: string,
    options?: PromoteOptions,
  ): Promise<{ alias: Alias; previousVersion: number; deprecation?: Deprecation }>;
  /** @throws failed-precondition NO_PREVIOUS_VERSION; aborted REVISION_CONFLICT. */
  rollback(model: string, alias: string, options?: MoveOptions): Promise<{ alias: Alias; previousVersion: number }>;
  /** The audit history, newest first; of all aliases when `alias` is not given. */
  history(model: string, alias?: string, options?: ClientCallOptions): AsyncIterable<AliasEvent>;
  /** The move that put the alias where it pointed at a time; undefined when it did not exist then. */
  aliasAt(model: string, alias: string, time: Date, options?: ClientCallOptions): Promise<AliasEvent | undefined>;
  /** A snapshot, then every change; goes on by itself after a broken connection. See watch.ts. */
  watch(
    options?: ClientCallOptions & { readonly cursor?: string; readonly heartbeatSeconds?: number },
  ): AsyncIterable<WatchAliasesResponse>;
  /** One model on all live inference servers; of all its aliases when `alias` is not given. */
  getRollout(model: string, alias?: string, options?: ClientCallOptions): Promise<Rollout>;
  /** The same, and again after every change; goes on by itself after a broken connection. */
  watchRollout(model: string, alias?: string, options?: ClientCallOptions): AsyncIterable<Rollout>;
  /** Makes inference servers fetch a version ahead and hold it, an hour unless said otherwise; gives when they stop. */
  prefetch(
    model: string,
    version: number,
    options?: ClientCallOptions & { readonly holdSeconds?: number | undefined },
  ): Promise<Date>;
  close(): void;
}

export function createRegistryClient(settings: ConnectionSettings, deps: RetryDeps = SYSTEM_RETRY_DEPS): RegistryClient {
  const stub = connect(RegistryServiceClient, settings);
  const caller = createCaller('registry', settings, deps);
  const { call } = caller;

  const createModel: RegistryClient['createModel'] = async ({ name, kind, description = '', labels = {} }, options) => {
    // The same id for every try: one whose answer was lost is not taken for another publisher's model.
    const request = { name, kind, description, labels: { ...labels }, requestId: randomUUID() };
    const { model } = await call((bounds) => callUnary(stub.createModel.bind(stub), request, bounds), options);
    return required(model, 'CreateModel', 'model');
  };
  const getModel: RegistryClient['getModel'] = async (name, options) => {
    const { model } = await call((bounds) => callUnary(stub.getModel.bind(stub), { name }, bounds), options);
    return required(model, 'GetModel', 'model');
  };

  return {
    address: settings.address,
    createModel,
    getModel,
    async ensureModel(model, options) {
      try {
        return { model: await getModel(model.name, options), created: false };
      } catch (error) {
        if (!isServiceError(error, 'not-found')) {
          throw error;
        }
      }
      try {
        return { model: await createModel(model, options), created: true };
      } catch (error) {
        // Another publisher was faster.
        if (isServiceError(error, 'already-exists')) {
          return { model: await getModel(model.name, options), created: false };
        }
        throw error;
      }
    },
    listModels: ({ labels = {}, ...options } = {}) =>
      pages(async (pageToken) => {
        const request = { pageSize: 0, pageToken, labels: { ...labels } };
        const { models, nextPageToken } = await call((bounds) => callUnary(stub.listModels.bind(stub), request, bounds), options);
        return { items: models, nextPageToken };
      }),
    async getVersion(model, version, options) {
      const answer = await call((bounds) => callUnary(stub.getVersion.bind(stub), { model, version }, bounds), options);
      return required(answer.version, 'GetVersion', 'version');
    },
    listVersions: (model, { labels = {}, ...options } = {}) =>
      pages(async (pageToken) => {
        const request = { model, pageSize: 0, pageToken, labels: { ...labels } };
        const { versions, nextPageToken } = await call(
          (bounds) => callUnary(stub.listVersions.bind(stub), request, bounds),
          options,
        );
        return { items: versions, nextPageToken };
      }),
    publishVersion: (request, options) => publishVersion({ stub, caller, retryDeps: deps }, request, options),
    resolve({ model, selector }, options) {
      const ref =
        selector.kind === 'version'
          ? { $case: 'version' as const, value: selector.version }
          : { $case: 'alias' as const, value: selector.kind === 'latest' ? 'latest' : selector.alias };
      return call<ResolveVersionResponse>((bounds) => callUnary(stub.resolveVersion.bind(stub), { model, ref }, bounds), options);
    },
    async promote(model, version, alias, options = {}) {
      const request = { model, version, alias, requireReady: options.requireReady ?? 0, ...moveFields(options) };
      const answer = await call((bounds) => callUnary(stub.promoteVersion.bind(stub), request, bounds), options);
      return { ...moved(answer, 'PromoteVersion'), ...(answer.deprecation && { deprecation: answer.deprecation }) };
    },
    async rollback(model, alias, options = {}) {
      const request = { model, alias, ...moveFields(options) };
      const answer = await call((bounds) => callUnary(stub.rollbackAlias.bind(stub), request, bounds), options);
      return moved(answer, 'RollbackAlias');
    },
    history: (model, alias = '', options = {}) =>
      pages(async (pageToken) => {
        const request = { model, alias, pageSize: 0, pageToken };
        const { events, nextPageToken } = await call(
          (bounds) => callUnary(stub.listAliasEvents.bind(stub), request, bounds),
          options,
        );
        return { items: events, nextPageToken };
      }),
    async aliasAt(model, alias, at, options) {
      const request = { model, alias, pageSize: 1, pageToken: '', at };
      const { events } = await call((bounds) => callUnary(stub.listAliasEvents.bind(stub), request, bounds), options);
      const [event] = events;
      if (event?.time !== undefined && event.time > at) {
        // One of an earlier release leaves the time out and answers with the newest event.
        throw new ServiceError('internal', 'UNIMPLEMENTED', 'the registry cannot be asked for a time');
      }
      return event;
    },
    watch: (options = {}) => watchAliases({ stub, caller, retryDeps: deps, retry: options.retry ?? settings.retry }, options),
    async getRollout(model, alias = '', options) {
      const answer = await call((bounds) => callUnary(stub.getRollout.bind(stub), { model, alias }, bounds), options);
      return required(answer.rollout, 'GetRollout', 'rollout');
    },
    watchRollout: (model, alias = '', options = {}) =>
      watchRollout({ stub, caller, retryDeps: deps, retry: options.retry ?? settings.retry }, { model, alias }, options),
    async prefetch(model, version, { holdSeconds = 0, ...options } = {}) {
      const request = { model, version, holdSeconds };
      const answer = await call((bounds) => callUnary(stub.prefetchVersion.bind(stub), request, bounds), options);
      return required(answer.expireTime, 'PrefetchVersion', 'expire_time');
    },
    ...createUpkeep({ stub, caller, retryDeps: deps }, settings),
    close: () => stub.close(),
  };
}

function moveFields({ expectedRevision, reason = '', actor = '' }: MoveOptions): {
  expectedRevision: number | undefined;
  reason: string;
  actor: string;
  requestId: string;
} {
  return { expectedRevision, reason, actor, requestId: randomUUID() };
}

function moved(
  answer: PromoteVersionResponse | RollbackAliasResponse,
  method: string,
): { alias: Alias; previousVersion: number } {
  return { alias: required(answer.alias, method, 'alias'), previousVersion: answer.previousVersion };
}
