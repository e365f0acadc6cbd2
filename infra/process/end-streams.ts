import { ServerInterceptingCall, type ServerInterceptor, ServerListenerBuilder, ResponderBuilder } from '@grpc/grpc-js';
import { abortError } from '../../proto/wire/errors.ts';
import { toGrpcStatus } from '../../proto/wire/status.ts';

/**
 * Ends the open calls of these methods with the reason of `shutdown`. For streams of library code that would otherwise go on
 * until the client leaves, and hold a shutdown up for its whole grace period.
 */
export function endStreams(shutdown: AbortSignal, isOurs: (path: string) => boolean): ServerInterceptor {
  return ({ path }, call) => {
    if (!isOurs(path)) {
      return new ServerInterceptingCall(call);
    }
    const end = (): void => intercepted.sendStatus(toGrpcStatus(abortError(shutdown)));
    const forget = (): void => shutdown.removeEventListener('abort', end);
    const listener = new ServerListenerBuilder().withOnCancel(() => forget()).build();
    const responder = new ResponderBuilder()
      .withStart((next) => next(listener))
      .withSendStatus((status, next) => {
        forget();
        next(status);
      })
      .build();
    const intercepted = new ServerInterceptingCall(call, responder);
    shutdown.addEventListener('abort', end, { once: true });
    return intercepted;
  };
}
