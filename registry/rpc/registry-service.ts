import type { RegistryServiceServer } from '../../proto/gen/maskterial/registry/v1/registry_service.ts';
import type { Handlers } from '../../proto/wire/handlers.ts';
import type { Registry } from '../release/registry.ts';
import {
  blobFrom,
  kindFrom,
  selectorFrom,
  toAlias,
  toAliasEvent,
  toBlobRef,
  toDeprecation,
  toLocations,
  toModel,
  toStaging,
  toUploadState,
  toVersion,
} from './convert.ts';
import { readMessages } from './read-messages.ts';
import { createRolloutCalls } from './rollout-service.ts';
import { type UploadLimits, withUpload } from './upload-request.ts';
import { createUpkeepCalls } from './upkeep-service.ts';
import { createWatch } from './watch-service.ts';

/** The registry as a gRPC service: each method converts, calls one use case, and converts back. */
export function createRegistryService(registry: Registry, handlers: Handlers, limits: UploadLimits): RegistryServiceServer {
  return {
    createModel: handlers.unary(async ({ name, kind, description, labels, requestId }, context) => {
      context.annotate({ model: name });
      const command = { name, kind: kindFrom(kind), description, labels, requestId };
      return { model: toModel(await registry.createModel(command, context.signal)) };
    }),
    getModel: handlers.unary(async ({ name }, context) => {
      context.annotate({ model: name });
      return { model: toModel(await registry.getModel(name, context.signal)) };
    }),
    listModels: handlers.unary(async ({ pageSize, pageToken, labels }, context) => {
      const { items, nextPageToken } = await registry.listModels({ pageSize, pageToken, labels }, context.signal);
      return { models: items.map(toModel), nextPageToken };
    }),
    getVersion: handlers.unary(async ({ model, version }, context) => {
      context.annotate({ model, version });
      return { version: toVersion(await registry.getVersion({ model, version }, context.signal)) };
    }),
    listVersions: handlers.unary(async ({ model, pageSize, pageToken, labels }, context) => {
      context.annotate({ model });
      const { items, nextPageToken } = await registry.listVersions({ model, pageSize, pageToken, labels }, context.signal);
      return { versions: items.map(toVersion), nextPageToken };
    }),
    stageVersion: handlers.unary(async ({ model, manifestJson, labels, requestId }, context) => {
      context.annotate({ model });
      const { staging, blobs } = await registry.stageVersion({ model, manifestJson, labels, requestId }, context.signal);
      context.annotate({ staging: hintOf(staging.id), manifest: staging.manifest.digest });
      const missing = blobs.filter(({ isComplete }) => !isComplete).map(toUploadState);
      return { stagingId: staging.id, manifest: toBlobRef(staging.manifest), missing };
    }),
    getStaging: handlers.unary(async ({ stagingId }, context) => {
      context.annotate({ staging: hintOf(stagingId) });
      return toStaging(await registry.getStaging(stagingId, context.signal));
    }),
    uploadBlob: handlers.clientStream((requests, context) =>
      withUpload(requests, limits, async (command) => {
        context.annotate({ staging: hintOf(command.stagingId), digest: command.blob?.digest, firstChunk: command.firstChunk });
        return { state: toUploadState(await registry.uploadBlob(command, context.signal)) };
      }),
    ),
    finalizeVersion: handlers.unary(async ({ stagingId, requestId }, context) => {
      context.annotate({ staging: hintOf(stagingId) });
      const { version, isCreated } = await registry.finalizeVersion({ stagingId, requestId }, context.signal);
      context.annotate({ model: version.model, version: version.version });
      return { version: toVersion(version), created: isCreated };
    }),
    resolveVersion: handlers.unary(async ({ model, ref }, context) => {
      context.annotate({ model, ref: ref?.value });
      const { version, alias, manifestJson, locations } = await registry.resolveVersion(
        { model, ref: selectorFrom(ref) },
        context.signal,
      );
      context.annotate({ version: version.version });
      return {
        version: toVersion(version),
        alias: alias && toAlias(alias),
        manifestJson: Buffer.from(manifestJson),
        locations: locations.map(toLocations),
      };
    }),
    readBlob: handlers.serverStream(({ blob, offsetBytes, lengthBytes, objectVersion }, context) => {
      context.annotate({ digest: blob?.digest });
      const length = lengthBytes === undefined ? undefined : Number(lengthBytes);
      return readMessages(
        registry.readBlob(
          { blob: blobFrom(blob), offsetBytes: Number(offsetBytes), lengthBytes: length, objectVersion },
          context.signal,
        ),
      );
    }),
    promoteVersion: handlers.unary(async ({ expectedRevision, ...request }, context) => {
      context.annotate({ model: request.model, version: request.version, alias: request.alias });
      const { alias, previousVersion, deprecation } = await registry.promoteVersion(
        { ...request, expectedRevision },
        context.signal,
      );
      context.annotate({ revision: alias.revision });
      return { alias: toAlias(alias), previousVersion, deprecation: deprecation && toDeprecation(deprecation) };
    }),
    rollbackAlias: handlers.unary(async ({ expectedRevision, ...request }, context) => {
      context.annotate({ model: request.model, alias: request.alias });
      const { alias, previousVersion } = await registry.rollbackAlias({ ...request, expectedRevision }, context.signal);
      context.annotate({ version: alias.version, revision: alias.revision });
      return { alias: toAlias(alias), previousVersion };
    }),
    listAliasEvents: handlers.unary(async ({ at, ...query }, context) => {
      context.annotate({ model: query.model, alias: query.alias });
      const { items, nextPageToken } = await registry.listAliasEvents({ ...query, atMs: at?.getTime() }, context.signal);
      return { events: items.map(toAliasEvent), nextPageToken };
    }),
    watchAliases: createWatch(registry, handlers),
    ...createRolloutCalls(registry, handlers),
    ...createUpkeepCalls(registry, handlers),
  };
}

/** Enough to find the lines of one staging. The whole id is all that it takes to write into it, and has no place in a log. */
function hintOf(stagingId: string): string {
  return stagingId.slice(0, 8);
}
