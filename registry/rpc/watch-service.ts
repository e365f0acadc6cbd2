import type {
  RegistryServiceServer,
  WatchAliasesRequest,
  WatchAliasesResponse,
} from '../../proto/gen/maskterial/registry/v1/registry_service.ts';
import type { Handlers } from '../../proto/wire/handlers.ts';
import type { Registry } from '../release/registry.ts';
import { toWatchResponse } from './convert.ts';

/** WatchAliases: ends with the caller, or as UNAVAILABLE when the server begins to shut down. */
export function createWatch(registry: Registry, handlers: Handlers): RegistryServiceServer['watchAliases'] {
  return handlers.serverStream(async function* (
    { cursor, heartbeatSeconds }: WatchAliasesRequest,
    { signal, shutdown },
  ): AsyncGenerator<WatchAliasesResponse> {
    for await (const event of registry.watchAliases({ cursor, heartbeatSeconds }, AbortSignal.any([signal, shutdown]))) {
      yield toWatchResponse(event);
    }
  });
}
