import { ArtifactRole } from '../../proto/gen/maskterial/registry/v1/artifact.ts';
import {
  type Alias,
  AliasAction,
  type AliasEvent,
  type Model,
  type Version,
  VersionState,
} from '../../proto/gen/maskterial/registry/v1/model.ts';
import {
  type ListAliasEventsRequest,
  type PrefetchVersionRequest,
  type PromoteVersionRequest,
  RegistryServiceService,
  type StageVersionRequest,
  type UploadBlobRequest,
  type WatchAliasesRequest,
  type WatchAliasesResponse,
  type WatchRolloutRequest,
  type WatchRolloutResponse,
} from '../../proto/gen/maskterial/registry/v1/registry_service.ts';
import type { Rollout } from '../../proto/gen/maskterial/registry/v1/rollout.ts';
import { digestOf } from '../../proto/wire/digest.ts';
import { ServiceError } from '../../proto/wire/errors.ts';
import { createHandlers } from '../../proto/wire/handlers.ts';
import { parseManifest } from '../../proto/wire/manifest.ts';
import { moveAlias } from './fake-aliases.ts';
import { FakeBlobs, wireRef } from './fake-blobs.ts';
import { startGrpcServer, type TestServer } from './grpc-server.ts';

const CREATED = new Date('2026-03-04T05:06:07.890Z');

/** A registry in memory, thin and friendly, behind a real gRPC server. Its state is open to tests. */
export class FakeRegistry {
  readonly models = new Map<string, Model>();
  readonly versions: Version[] = [];
  readonly events: AliasEvent[] = [];
  readonly blobs = new FakeBlobs();
  readonly stagings: StageVersionRequest[] = [];
  readonly watches: WatchAliasesRequest[] = [];
  readonly promotions: PromoteVersionRequest[] = [];
  /** Request ids of stagings and finalizations, answered or not. */
  readonly requestIds: string[] = [];
  /** Request ids of CreateModel calls, answered or not. */
  readonly creationIds: string[] = [];
  readonly calls: string[] = [];
  /** Consulted before each call and after each chunk ("uploadBlob:chunk"); what it throws is the answer. */
  fail: (what: string, count: number) => void = () => undefined;
  /** Awaited before GetModel answers. */
  held: Promise<void> = Promise.resolve();
  /** What each watch sends, in turn; the stream then ends with `end`, or stays open without. */
  watchScript: { readonly messages: readonly WatchAliasesResponse[]; readonly end?: ServiceError }[] = [];
  /** What GetRollout answers and each watch of it sends, in turn; the watch then stays open. */
  rollouts: readonly Rollout[] = [];
  readonly rolloutRequests: { readonly model: string; readonly alias: string }[] = [];
  readonly prefetches: PrefetchVersionRequest[] = [];
  pageSize = 2;
  /** One of the first release cannot be asked where an alias pointed at a time. */
  knowsTimes = true;
  readonly #counts = new Map<string, number>();

  async start(port = 0): Promise<TestServer> {
    const wire = createHandlers({ shutdown: new AbortController().signal, report: () => undefined });
    return startGrpcServer(
      RegistryServiceService,
      {
        createModel: wire.unary(
          async ({
            requestId,
            ...request
          }: {
            name: string;
            kind: Model['kind'];
            description: string;
            labels: Record<string, string>;
            requestId: string;
          }) => {
            this.creationIds.push(requestId);
            this.#enter('createModel');
            if (this.models.has(request.name)) {
              throw new ServiceError('already-exists', 'MODEL_EXISTS', `model "${request.name}" exists`);
            }
            const model = { ...request, createTime: CREATED, latestVersion: 0, aliases: [] };
            this.models.set(request.name, model);
            return { model };
          },
        ),
        getModel: wire.unary(async ({ name }: { name: string }) => {
          this.#enter('getModel');
          await this.held;
          return { model: this.#model(name) };
        }),
        listModels: wire.unary(async ({ pageToken, labels }: { pageToken: string; labels: Record<string, string> }) => {
          this.#enter('listModels');
          const all = [...this.models.values()].filter((model) =>
            Object.entries(labels).every(([key, value]) => model.labels[key] === value),
          );
          const { items, nextPageToken } = this.#page(all, pageToken);
          return { models: items, nextPageToken };
        }),
        listVersions: wire.unary(async ({ model, pageToken }: { model: string; pageToken: string }) => {
          this.#enter('listVersions');
          const all = this.versions.filter((version) => version.model === model).toReversed();
          const { items, nextPageToken } = this.#page(all, pageToken);
          return { versions: items, nextPageToken };
        }),
        stageVersion: wire.unary(async (request: StageVersionRequest) => {
          this.requestIds.push(request.requestId);
          this.#enter('stageVersion');
          this.#model(request.model);
          this.stagings.push(request);
          const missing = this.blobs.missing(request.manifestJson);
          return { stagingId: String(this.stagings.length), manifest: wireRef(request.manifestJson), missing };
        }),
        getStaging: wire.unary(async ({ stagingId }: { stagingId: string }) => {
          this.#enter('getStaging');
          const staging = this.#staging(stagingId);
          const manifest = wireRef(staging.manifestJson);
          return {
            stagingId,
            model: staging.model,
            manifest,
            blobs: this.blobs.states(staging.manifestJson),
            createTime: CREATED,
          };
        }),
        uploadBlob: wire.clientStream(async (requests: AsyncIterable<UploadBlobRequest>) => {
          this.#enter('uploadBlob');
          const manifestOf = (stagingId: string) => this.#staging(stagingId).manifestJson;
          return this.blobs.receive(requests, manifestOf, () => this.#enter('uploadBlob:chunk'));
        }),
        finalizeVersion: wire.unary(async ({ stagingId, requestId }: { stagingId: string; requestId: string }) => {
          this.requestIds.push(requestId);
          this.#enter('finalizeVersion');
          return this.#finalize(this.#staging(stagingId));
        }),
        promoteVersion: wire.unary(async (request: PromoteVersionRequest) => {
          this.#enter('promoteVersion');
          this.promotions.push(request);
          return this.#move(request, request.version, AliasAction.ALIAS_ACTION_PROMOTE);
        }),
        rollbackAlias: wire.unary(async (request: { model: string; alias: string; actor: string; reason: string }) => {
          this.#enter('rollbackAlias');
          const before = this.events.find(({ model, alias }) => model === request.model && alias === request.alias);
          if (before === undefined || before.fromVersion === 0) {
            throw new ServiceError(
              'failed-precondition',
              'NO_PREVIOUS_VERSION',
              `${request.model}@${request.alias} has no previous version`,
            );
          }
          return this.#move(request, before.fromVersion, AliasAction.ALIAS_ACTION_ROLLBACK);
        }),
        resolveVersion: wire.unary(async (request: { model: string; ref?: { $case: string; value: number | string } }) => {
          this.#enter('resolveVersion');
          const { aliases, latestVersion } = this.#model(request.model);
          const value = request.ref?.value;
          const number = value === 'latest' ? latestVersion : (aliases.find(({ alias }) => alias === value)?.version ?? value);
          const version = this.versions.find((candidate) => candidate.model === request.model && candidate.version === number);
          return { version, alias: undefined, manifestJson: Buffer.alloc(0), locations: [] };
        }),
        listAliasEvents: wire.unary(async ({ model, alias, pageToken, at }: ListAliasEventsRequest) => {
          this.#enter('listAliasEvents');
          const all = this.events
            .filter((event) => event.model === model && (alias === '' || event.alias === alias))
            .filter(({ time }) => !this.knowsTimes || at === undefined || (time !== undefined && time <= at));
          const { items, nextPageToken } = this.#page(all, pageToken);
          return { events: items, nextPageToken };
        }),
        prefetchVersion: wire.unary(async (request: PrefetchVersionRequest) => {
          this.#enter('prefetchVersion');
          this.prefetches.push(request);
          return { expireTime: CREATED };
        }),
        getRollout: wire.unary(async ({ model, alias }: { model: string; alias: string }) => {
          this.rolloutRequests.push({ model, alias });
          this.#enter('getRollout');
          return { rollout: this.rollouts[0] };
        }),
        watchRollout: wire.serverStream((request: WatchRolloutRequest, { signal }) => this.#watchRollout(request, signal)),
        watchAliases: wire.serverStream((request: WatchAliasesRequest, { signal }) => this.#watch(request, signal)),
      },
      port,
    );
  }

  /** Puts a version there without publishing it. */
  addVersion(model: string, version: number, more: Partial<Version> = {}): void {
    const found = this.#model(model);
    found.latestVersion = version;
    const manifest = { digest: digestOf(Buffer.from(`${model}:${version}`)), sizeBytes: 10n };
    const state = VersionState.VERSION_STATE_FINALIZED;
    this.versions.push({
      model,
      version,
      manifest,
      artifacts: [],
      state,
      createTime: CREATED,
      labels: {},
      family: 'AMM',
      kind: found.kind,
      ...more,
    });
  }

  #enter(what: string): void {
    const count = (this.#counts.get(what) ?? 0) + 1;
    this.#counts.set(what, count);
    this.calls.push(what);
    this.fail(what, count);
  }

  async *#watchRollout({ model, alias }: WatchRolloutRequest, signal: AbortSignal): AsyncGenerator<WatchRolloutResponse> {
    this.rolloutRequests.push({ model, alias });
    for (const value of this.rollouts) {
      this.#enter('watchRollout');
      yield { event: { $case: 'rollout', value } };
    }
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
  }

  async *#watch(request: WatchAliasesRequest, signal: AbortSignal): AsyncGenerator<WatchAliasesResponse> {
    this.watches.push(request);
    const script = this.watchScript[this.watches.length - 1];
    yield* script?.messages ?? [];
    if (script !== undefined && script.end === undefined) {
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    }
    throw script?.end ?? new ServiceError('unavailable', 'SHUTTING_DOWN', 'the script has no more');
  }

  #finalize(staging: StageVersionRequest): { version: Version; created: boolean } {
    const manifest = parseManifest(staging.manifestJson);
    const missing = this.blobs.missing(staging.manifestJson);
    if (missing.length > 0) {
      throw new ServiceError('failed-precondition', 'BLOBS_MISSING', missing.map(({ blob }) => blob?.digest).join(', '));
    }
    const ref = wireRef(staging.manifestJson);
    const same = this.versions.find((version) => version.model === staging.model && version.manifest?.digest === ref.digest);
    if (same !== undefined) {
      return { version: same, created: false };
    }
    const artifacts = manifest.artifacts.map(({ path, mediaType, digest, sizeBytes }) => ({
      path,
      role: ArtifactRole.ARTIFACT_ROLE_SERVING,
      mediaType,
      blob: { digest, sizeBytes: BigInt(sizeBytes) },
    }));
    this.addVersion(staging.model, this.#model(staging.model).latestVersion + 1, {
      manifest: ref,
      artifacts,
      labels: staging.labels,
    });
    const version = this.versions.at(-1);
    if (version === undefined) {
      throw new Error('unreachable');
    }
    return { version, created: true };
  }

  #move(
    request: { model: string; alias: string; actor: string; reason: string; expectedRevision?: number | undefined },
    version: number,
    action: AliasAction,
  ): { alias: Alias; previousVersion: number } {
    const { manifest } = this.versions.find((known) => known.model === request.model && known.version === version) ?? {};
    const { alias, event } = moveAlias(this.#model(request.model), request, { version, manifest }, action, CREATED);
    this.events.unshift(event);
    return { alias, previousVersion: event.fromVersion };
  }

  #model(name: string): Model {
    const model = this.models.get(name);
    if (model === undefined) {
      throw new ServiceError(
        'not-found',
        'MODEL_NOT_FOUND',
        `no model "${name}"; nearest: ${[...this.models.keys()].join(', ')}`,
      );
    }
    return model;
  }

  #staging(id: string): StageVersionRequest {
    const staging = this.stagings[Number(id) - 1];
    if (staging === undefined) {
      throw new ServiceError('not-found', 'STAGING_NOT_FOUND', `no staging "${id}"`);
    }
    return staging;
  }

  #page<T>(items: readonly T[], pageToken: string): { items: T[]; nextPageToken: string } {
    const start = Number(pageToken === '' ? 0 : pageToken);
    const end = start + this.pageSize;
    return { items: items.slice(start, end), nextPageToken: end < items.length ? String(end) : '' };
  }
}
