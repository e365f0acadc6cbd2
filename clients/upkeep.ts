import { randomUUID } from 'node:crypto';
import type { RegistryServiceClient } from '../proto/gen/maskterial/registry/v1/registry_service.ts';
import { callServerStream, callUnary } from '../proto/wire/calls.ts';
import type { Caller } from './channel.ts';
import type { RegistryClient } from './registry-client.ts';
import { required } from './required.ts';

/** The calls of the registry's client that keep it tidy. */
export function createUpkeep(
  stub: RegistryServiceClient,
  call: Caller['call'],
  defaultTimeoutMs: number | undefined,
): Pick<RegistryClient, 'deprecate' | 'undeprecate' | 'deleteVersion' | 'collectGarbage' | 'readBlob'> {
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
