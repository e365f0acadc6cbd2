import type { RegistryServiceClient, WatchAliasesResponse } from '../proto/gen/maskterial/registry/v1/registry_service.ts';
import { callServerStream } from '../proto/wire/calls.ts';
import { ServiceError } from '../proto/wire/errors.ts';
import type { Caller, ClientCallOptions } from './channel.ts';
import { DEFAULT_RETRY, isRetryable, type RetryDeps, type RetrySettings, retryDelay } from './retry.ts';

interface WatchDeps {
  readonly stub: Pick<RegistryServiceClient, 'watchAliases'>;
  readonly caller: Caller;
  readonly retryDeps: RetryDeps;
  readonly retry: RetrySettings | undefined;
}

/**
 * Watches aliases for as long as the loop runs. A broken stream is taken up again after the last cursor, so no change is missed
 * and none comes twice; the registry may answer with a new snapshot instead. Gives up once as many attempts in a row as the retry
 * settings allow brought no message.
 */
export async function* watchAliases(
  { stub, caller, retryDeps, retry = DEFAULT_RETRY }: WatchDeps,
  {
    signal,
    requestId,
    cursor: start = '',
    heartbeatSeconds = 0,
  }: ClientCallOptions & { readonly cursor?: string; readonly heartbeatSeconds?: number },
): AsyncGenerator<WatchAliasesResponse> {
  let cursor = start;
  let failures = 0;
  for (;;) {
    let failure: ServiceError;
    try {
      const request = { cursor, heartbeatSeconds };
      for await (const message of callServerStream(stub.watchAliases.bind(stub), request, { signal, requestId })) {
        failures = 0;
        cursor = message.cursor;
        yield message;
      }
      failure = new ServiceError('unavailable', 'SHUTTING_DOWN', 'the registry ended the watch');
    } catch (error) {
      if (!isRetryable(error)) {
        throw error;
      }
      failure = error;
    }
    failures += 1;
    if (failures >= retry.attempts) {
      throw caller.explain(failure);
    }
    await retryDeps.sleep(retryDelay(failures, failure, retry, retryDeps), signal);
  }
}
