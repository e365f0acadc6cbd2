import { isServiceError, ServiceError } from '../../proto/wire/errors.ts';
import { createBackoff } from './backoff.ts';
import type { ModelSource, SourceEvent } from './model-source.ts';

export type Connection =
  | { readonly isConnected: true }
  | { readonly isConnected: false; readonly error: ServiceError | undefined };

export interface FollowListener {
  onEvent(event: SourceEvent): void;
  /** Called once per change: connected, or not with the reason. */
  onConnection(connection: Connection): void;
}

/** Watches a source until aborted, connecting again with back-off whenever the watch ends. Never throws. */
export async function follow(
  source: ModelSource,
  listener: FollowListener,
  signal: AbortSignal,
  backoff = createBackoff(),
): Promise<void> {
  let isConnected: boolean | undefined;
  while (!signal.aborted) {
    let failure: unknown = new ServiceError('unavailable', 'REGISTRY_UNAVAILABLE', 'the registry ended the watch');
    try {
      await backoff.wait(signal);
      let isFirst = true;
      for await (const event of source.watch(signal)) {
        // A first event alone proves little: a registry that breaks after each snapshot must not be asked without a pause.
        if (!isFirst) {
          backoff.reset();
        }
        isFirst = false;
        listener.onEvent(event);
        if (isConnected !== true) {
          isConnected = true;
          listener.onConnection({ isConnected: true });
        }
      }
    } catch (error) {
      failure = error;
    }
    if (!signal.aborted && isConnected !== false) {
      isConnected = false;
      listener.onConnection({
        isConnected: false,
        error: isServiceError(failure) ? failure : new ServiceError('internal', 'INTERNAL', String(failure), { cause: failure }),
      });
    }
  }
}
