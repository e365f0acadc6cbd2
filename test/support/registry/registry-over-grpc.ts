import {
  type BlobLocation as BlobLocationMessage,
  type BlobUploadState as BlobUploadStateMessage,
} from '../../../proto/gen/maskterial/registry/v1/artifact.ts';
import {
  AliasAction,
  type AliasEvent as AliasEventMessage,
  type ModelKind as KindCode,
  type Model as ModelMessage,
} from '../../../proto/gen/maskterial/registry/v1/model.ts';
import type {
  RegistryServiceClient,
  UploadBlobRequest,
  WatchAliasesResponse,
} from '../../../proto/gen/maskterial/registry/v1/registry_service.ts';
import { callClientStream, callServerStream, callUnary } from '../../../proto/wire/calls.ts';
import { parseDigest } from '../../../proto/wire/digest.ts';
import { asAliasName, asModelName } from '../../../proto/wire/names.ts';
import type { AliasEvent } from '../../../registry/model/alias.ts';
import type { Model, ModelKind } from '../../../registry/model/model.ts';
import type { BlobUploadState } from '../../../registry/release/declared-blobs.ts';
import type { Registry } from '../../../registry/release/registry.ts';
import type { ArtifactLocations } from '../../../registry/release/resolve.ts';
import type { UploadBlobCommand } from '../../../registry/release/upload.ts';
import type { WatchEvent } from '../../../registry/release/watch.ts';
import { KINDS, known, toAlias, toDeprecation, toRef, toVersion } from './from-messages.ts';
import { rolloutOverGrpc } from './rollout-over-grpc.ts';
import { upkeepOverGrpc } from './upkeep-over-grpc.ts';

/**
 * A registry at the other end of a connection, behind the interface of one in this process: so that one suite tests both.
 * What the contract does not carry (an alias's back revision) reads as 0.
 */
export function registryOverGrpc(client: RegistryServiceClient): Registry {
  return {
    createModel: async ({ kind, ...command }, signal) => {
      const request = { ...command, labels: { ...command.labels }, kind: codeOf(kind) };
      return toModel((await callUnary(client.createModel.bind(client), request, { signal })).model);
    },
    getModel: async (name, signal) => toModel((await callUnary(client.getModel.bind(client), { name }, { signal })).model),
    listModels: async (query, signal) => {
      const request = { ...query, labels: { ...query.labels } };
      const { models, nextPageToken } = await callUnary(client.listModels.bind(client), request, { signal });
      return { items: models.map(toModel), nextPageToken };
    },
    getVersion: async (query, signal) => toVersion((await callUnary(client.getVersion.bind(client), query, { signal })).version),
    listVersions: async (query, signal) => {
      const request = { ...query, labels: { ...query.labels } };
      const { versions, nextPageToken } = await callUnary(client.listVersions.bind(client), request, { signal });
      return { items: versions.map(toVersion), nextPageToken };
    },
    stageVersion: async (command, signal) => {
      const request = { ...command, labels: { ...command.labels }, manifestJson: Buffer.from(command.manifestJson) };
      const { stagingId, missing } = await callUnary(client.stageVersion.bind(client), request, { signal });
      const staged = await callUnary(client.getStaging.bind(client), { stagingId }, { signal });
      const staging = {
        id: stagingId,
        model: known(asModelName(staged.model)),
        manifest: toRef(staged.manifest),
        labels: command.labels,
        createTimeMs: known(staged.createTime).getTime(),
        version: 0,
      };
      const blobs = staged.blobs.map(({ blob, ...state }) => {
        const answered = missing.find((candidate) => candidate.blob?.digest === blob?.digest);
        return toState(answered ?? { ...state, blob, complete: true, verifiedChunks: [] });
      });
      return { staging, blobs };
    },
    getStaging: async (stagingId, signal) => {
      const staged = await callUnary(client.getStaging.bind(client), { stagingId }, { signal });
      const createTimeMs = known(staged.createTime).getTime();
      const model = known(asModelName(staged.model));
      return {
        staging: { id: stagingId, model, manifest: toRef(staged.manifest), labels: {}, createTimeMs, version: 0 },
        blobs: staged.blobs.map(toState),
      };
    },
    uploadBlob: async (command, signal) => {
      const { state } = await callClientStream(client.uploadBlob.bind(client), uploadMessages(command), { signal });
      return toState(known(state));
    },
    finalizeVersion: async (command, signal) => {
      const { version, created } = await callUnary(client.finalizeVersion.bind(client), command, { signal });
      return { version: toVersion(version), isCreated: created };
    },
    resolveVersion: async ({ model, ref }, signal) => {
      const selector =
        ref === undefined
          ? undefined
          : ref.kind === 'version'
            ? { $case: 'version' as const, value: ref.version }
            : { $case: 'alias' as const, value: ref.alias };
      const answer = await callUnary(client.resolveVersion.bind(client), { model, ref: selector }, { signal });
      return {
        version: toVersion(answer.version),
        alias: answer.alias && toAlias(answer.alias),
        manifestJson: answer.manifestJson,
        locations: answer.locations.map(({ digest, locations }) => ({
          digest: parseDigest(digest, 'digest'),
          locations: locations.map(toLocation),
        })),
      };
    },
    readBlob: async function* ({ blob, offsetBytes, lengthBytes, objectVersion }, signal) {
      const request = {
        blob: blob && { digest: blob.digest, sizeBytes: BigInt(blob.sizeBytes) },
        offsetBytes: BigInt(offsetBytes),
        lengthBytes: lengthBytes === undefined ? undefined : BigInt(lengthBytes),
        objectVersion,
      };
      for await (const { data } of callServerStream(client.readBlob.bind(client), request, { signal })) {
        yield data;
      }
    },
    promoteVersion: async (command, signal) => {
      const { alias, previousVersion, deprecation } = await callUnary(client.promoteVersion.bind(client), command, { signal });
      return { alias: toAlias(alias), previousVersion, ...(deprecation && { deprecation: toDeprecation(deprecation) }) };
    },
    rollbackAlias: async (command, signal) => {
      const { alias, previousVersion } = await callUnary(client.rollbackAlias.bind(client), command, { signal });
      return { alias: toAlias(alias), previousVersion };
    },
    listAliasEvents: async ({ atMs, ...query }, signal) => {
      const request = { ...query, at: atMs === undefined ? undefined : new Date(atMs) };
      const { events, nextPageToken } = await callUnary(client.listAliasEvents.bind(client), request, { signal });
      return { items: events.map(toEvent), nextPageToken };
    },
    watchAliases: async function* (query, signal) {
      for await (const message of callServerStream(client.watchAliases.bind(client), query, { signal })) {
        yield toWatchEvent(message);
      }
    },
    ...rolloutOverGrpc(client),
    ...upkeepOverGrpc(client),
  };
}

async function* uploadMessages({ stagingId, blob, firstChunk, data }: UploadBlobCommand): AsyncGenerator<UploadBlobRequest> {
  const ref = blob && { digest: blob.digest, sizeBytes: BigInt(blob.sizeBytes) };
  yield { part: { $case: 'header', value: { stagingId, blob: ref, firstChunk } } };
  for await (const bytes of data) {
    yield { part: { $case: 'data', value: Buffer.from(bytes) } };
  }
}

function toModel(message: ModelMessage | undefined): Model {
  const { name, kind, createTime, aliases, ...rest } = known(message);
  return {
    ...rest,
    name: known(asModelName(name)),
    kind: known(KINDS[kind]),
    createTimeMs: known(createTime).getTime(),
    aliases: aliases.map(toAlias),
  };
}

function toEvent(message: AliasEventMessage): AliasEvent {
  const { model, alias, revision, action, fromVersion, toVersion: version, actor, reason, time } = message;
  return {
    state: {
      model: known(asModelName(model)),
      alias: known(asAliasName(alias)),
      version,
      revision,
      manifest: { digest: parseDigest(`sha256:${'0'.repeat(64)}`, 'digest'), sizeBytes: 0 },
      updateTimeMs: known(time).getTime(),
      backRevision: 0,
    },
    action: action === AliasAction.ALIAS_ACTION_ROLLBACK ? 'rollback' : 'promote',
    fromVersion,
    actor: { name: known(actor).name, isVerified: known(actor).verified },
    reason,
  };
}

function toState({ blob, complete, verifiedChunks }: BlobUploadStateMessage): BlobUploadState {
  return { blob: toRef(blob), isComplete: complete, verifiedChunks };
}

function toLocation({ place }: BlobLocationMessage): ArtifactLocations['locations'][number] {
  switch (place?.$case) {
    case 'file':
      return { kind: 'file', path: place.value.path };
    case 's3':
      return { kind: 's3', ...place.value };
    default:
      return { kind: 'registry' };
  }
}

function toWatchEvent({ cursor, event }: WatchAliasesResponse): WatchEvent {
  switch (event?.$case) {
    case 'snapshot':
      return { kind: 'snapshot', cursor, aliases: event.value.aliases.map(toAlias), isComplete: event.value.complete };
    case 'change':
      return { kind: 'change', cursor, alias: toAlias(event.value.alias) };
    case 'prefetch': {
      const { model, version, manifest, hold } = event.value;
      const holdMs = Number(known(hold).seconds) * 1000 + known(hold).nanos / 1e6;
      // When it ends the contract says by the time that is left.
      const wish = { model: known(asModelName(model)), version, manifest: toRef(manifest), expireTimeMs: 0 };
      return { kind: 'prefetch', cursor, wish, holdMs };
    }
    default:
      return { kind: 'heartbeat', cursor };
  }
}

function codeOf(kind: ModelKind | undefined): KindCode {
  const [code] = Object.entries(KINDS).find(([, name]) => name === kind) ?? ['0'];
  return Number(code) as KindCode;
}
