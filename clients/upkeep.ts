import { randomUUID } from 'node:crypto';
import type { BlobRef } from '../proto/gen/maskterial/registry/v1/artifact.ts';
import type { Version } from '../proto/gen/maskterial/registry/v1/model.ts';
import type { CollectGarbageResponse, RegistryServiceClient } from '../proto/gen/maskterial/registry/v1/registry_service.ts';
import { callServerStream, callUnary } from '../proto/wire/calls.ts';
import type { Caller, ClientCallOptions } from './channel.ts';
import { required } from './required.ts';

/** Who deletes a version and why. */
export interface DeleteOptions extends ClientCallOptions {
  readonly reason?: string | undefined;
  readonly actor?: string | undefined;
}

/** The calls of the registry's client that keep it tidy. */
export interface UpkeepCalls {
  /** Advises against a version; it is served and promoted as before. */
  deprecate(model: string, version: number, reason: string, options?: ClientCallOptions): Promise<Version>;
  undeprecate(model: string, version: number, options?: ClientCallOptions): Promise<Version>;
  /** @throws failed-precondition VERSION_IN_USE with metadata aliases. */
  deleteVersion(model: string, version: number, options?: DeleteOptions): Promise<void>;
  /** All bytes of a blob that a version refers to; once, without another try. @throws not-found BLOB_NOT_FOUND; data-loss. */
  readBlob(blob: BlobRef, options?: Pick<ClientCallOptions, 'signal' | 'timeoutMs'>): AsyncIterable<Uint8Array>;
  /** Removes what nothing refers to, or only says what that is. `graceSeconds`: a week unless said otherwise. */
  collectGarbage(
    options?: ClientCallOptions & { readonly isDryRun?: boolean; readonly graceSeconds?: number | undefined },
  ): Promise<CollectGarbageResponse>;
}

export function createUpkeep(
  stub: RegistryServiceClient,
  call: Caller['call'],
  defaultTimeoutMs: number | undefined,
): UpkeepCalls {
  return {
    async deprecate(model, version, reason, options) {
      const request = { model, version, reason };
      const answer = await call((bounds) => callUnary(stub.deprecateVersion.bind(stub), request, bounds), options);
      return required(answer.version, 'DeprecateVersion', 'version');
    },
    async undeprecate(model, version, options) {
      const request = { model, version };
      const answer = await call((bounds) => callUnary(stub.undeprecateVersion.bind(stub), request, bounds), options);
      return required(answer.version, 'UndeprecateVersion', 'version');
    },
    async deleteVersion(model, version, { reason = '', actor = '', ...options } = {}) {
      // The same id for every try: one whose answer was lost is not told that there is no such version.
      const request = { model, version, reason, actor, requestId: randomUUID() };
      await call((bounds) => callUnary(stub.deleteVersion.bind(stub), request, bounds), options);
    },
    async *readBlob(blob, { signal, timeoutMs = defaultTimeoutMs } = {}) {
      const request = { blob, offsetBytes: 0n, lengthBytes: undefined };
      for await (const { data } of callServerStream(stub.readBlob.bind(stub), request, { signal, timeoutMs })) {
        yield data;
      }
    },
    collectGarbage({ isDryRun = false, graceSeconds, ...options } = {}) {
      const request = { dryRun: isDryRun, graceSeconds };
      return call((bounds) => callUnary(stub.collectGarbage.bind(stub), request, bounds), options);
    },
  };
}
