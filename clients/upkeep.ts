import { randomUUID } from 'node:crypto';
import type { BlobRef } from '../proto/gen/maskterial/registry/v1/artifact.ts';
import type { Version } from '../proto/gen/maskterial/registry/v1/model.ts';
import type { CollectGarbageResponse, RegistryServiceClient } from '../proto/gen/maskterial/registry/v1/registry_service.ts';
import { callServerStream, callUnary } from '../proto/wire/calls.ts';
import type { Caller, ClientCallOptions, ConnectionSettings } from './channel.ts';
import { required } from './required.ts';
import { DEFAULT_RETRY, isRetryable, type RetryDeps, retryDelay } from './retry.ts';

export interface ReadBlobOptions extends ClientCallOptions {
  /** Of S3, as a version's locations name it; unset or empty: as it is stored now. */
  readonly objectVersion?: string | undefined;
}

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
  /**
   * All bytes of a blob that a version refers to. A stream that breaks is taken up where it ended, so whoever reads hashes: the
   * registry verifies only what it sends whole. The time limit is that of one stream. @throws not-found BLOB_NOT_FOUND; data-loss.
   */
  readBlob(blob: BlobRef, options?: ReadBlobOptions): AsyncIterable<Uint8Array>;
  /** Removes what nothing refers to, or only says what that is. `graceSeconds`: a week unless said otherwise. */
  collectGarbage(
    options?: ClientCallOptions & { readonly isDryRun?: boolean; readonly graceSeconds?: number | undefined },
  ): Promise<CollectGarbageResponse>;
}

export interface UpkeepDeps {
  readonly stub: RegistryServiceClient;
  readonly caller: Caller;
  readonly retryDeps: RetryDeps;
}

export function createUpkeep(
  { stub, caller, retryDeps }: UpkeepDeps,
  settings: Pick<ConnectionSettings, 'timeoutMs' | 'retry'>,
): UpkeepCalls {
  const { call } = caller;
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
    async *readBlob(
      blob,
      { objectVersion, timeoutMs = settings.timeoutMs, retry = settings.retry ?? DEFAULT_RETRY, ...options } = {},
    ) {
      let offsetBytes = 0n;
      for (let failures = 0; ; ) {
        try {
          const request = { blob, offsetBytes, lengthBytes: undefined, objectVersion };
          for await (const { data } of callServerStream(stub.readBlob.bind(stub), request, { ...options, timeoutMs })) {
            failures = 0;
            offsetBytes += BigInt(data.byteLength);
            yield data;
          }
          return;
        } catch (error) {
          failures += 1;
          if (!isRetryable(error) || failures >= retry.attempts) {
            throw caller.explain(error);
          }
          await retryDeps.sleep(retryDelay(failures, error, retry, retryDeps), options.signal);
        }
      }
    },
    collectGarbage({ isDryRun = false, graceSeconds, ...options } = {}) {
      const request = { dryRun: isDryRun, graceSeconds };
      return call((bounds) => callUnary(stub.collectGarbage.bind(stub), request, bounds), options);
    },
  };
}
