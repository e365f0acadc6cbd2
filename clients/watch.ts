import type { RegistryServiceClient, WatchAliasesResponse } from '../proto/gen/maskterial/registry/v1/registry_service.ts';
import type { Rollout } from '../proto/gen/maskterial/registry/v1/rollout.ts';
import { callServerStream } from '../proto/wire/calls.ts';
import { ServiceError } from '../proto/wire/errors.ts';
import type { Caller, ClientCallOptions } from './channel.ts';
import { DEFAULT_RETRY, isRetryable, type RetryDeps, type RetrySettings, retryDelay } from './retry.ts';

interface WatchDeps {
  readonly stub: Pick<RegistryServiceClient, 'watchAliases' | 'watchRollout'>;
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
  deps: WatchDeps,
  {
    signal,
    requestId,
    cursor: start = '',
    heartbeatSeconds = 0,
  }: ClientCallOptions & { readonly cursor?: string; readonly heartbeatSeconds?: number },
): AsyncGenerator<WatchAliasesResponse> {
  let cursor = start;
  const open = () =>
    callServerStream(deps.stub.watchAliases.bind(deps.stub), { cursor, heartbeatSeconds }, { signal, requestId });
  for await (const message of reopened(deps, open, signal)) {
    cursor = message.cursor;
    yield message;
  }
}

/** The rollout as it is, and again after every change; goes on by itself after a broken connection, as `watchAliases` does. */
export async function* watchRollout(
  deps: WatchDeps,
  request: { readonly model: string; readonly alias: string },
  { signal, requestId }: ClientCallOptions,
): AsyncGenerator<Rollout> {
  const open = () =>
    callServerStream(deps.stub.watchRollout.bind(deps.stub), { ...request, heartbeatSeconds: 0 }, { signal, requestId });
  for await (const { event } of reopened(deps, open, signal)) {
    if (event?.$case === 'rollout') {
      yield event.value;
    }
  }
}

async function* reopened<T>(
  { caller, retryDeps, retry = DEFAULT_RETRY }: WatchDeps,
  open: () => AsyncIterable<T>,
  signal: AbortSignal | undefined,
): AsyncGenerator<T> {
  let failures = 0;
  for (;;) {
    let failure: ServiceError;
    try {
      for await (const message of open()) {
        failures = 0;
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
