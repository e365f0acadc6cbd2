import { Metadata, ServerInterceptingCall, type ServerInterceptor, status } from '@grpc/grpc-js';
import { ServiceError } from '../../proto/wire/errors.ts';
import { fromGrpcError, hasDetails, toGrpcStatus } from '../../proto/wire/status.ts';
import type { Logger } from './log.ts';

type SentStatus = Parameters<ServerInterceptingCall['sendStatus']>[0];

/**
 * Gives the errors that the gRPC library makes by itself, before a handler runs, the form of all others: ErrorInfo with a reason, a
 * code that clients do not retry in vain, and a line in the log. To be the first interceptor: the library ends the call that it
 * hands to that one by its own `sendStatus`, past all interceptors, so it is replaced there.
 */
export function explainLibraryErrors(logger: Logger): ServerInterceptor {
  const log = logger.child({ component: 'rpc' });
  return ({ path }, call) => {
    const send = call.sendStatus.bind(call);
    call.sendStatus = (sent) => {
      if (sent.code === status.OK || hasDetails(sent) || LIBRARY_SERVICES.test(path)) {
        send(sent);
        return;
      }
      const explained = explain(sent);
      // A deadline passes under a handler, which has its own line.
      if (sent.code !== status.DEADLINE_EXCEEDED) {
        log.info({ method: path, peer: call.getPeer(), reason: explained.reason, error: explained.message }, 'call refused');
      }
      send(toGrpcStatus(explained));
    };
    return new ServerInterceptingCall(call);
  };
}

/** Reflection answers by its own rules. */
const LIBRARY_SERVICES = /^\/grpc\.reflection\./;

/**
 * What the library finds wrong with a call as such: an unknown compression or one that does not open, a timeout that is none,
 * no message or two where one belongs. It says INTERNAL and UNIMPLEMENTED for these, and has no other sign of them than its text.
 */
const CALLERS_FAULT = /decompress|compressed with|grpc-timeout|request message/i;

/** The library has no other sign of what went wrong than code and text. */
function explain({ code, details, metadata }: SentStatus): ServiceError {
  const text = details ?? '';
  if (code === status.RESOURCE_EXHAUSTED) {
    return new ServiceError('invalid-argument', 'MESSAGE_TOO_LARGE', text);
  }
  if (code === status.INTERNAL && /deserializ/i.test(text)) {
    return new ServiceError('invalid-argument', 'MALFORMED_MESSAGE', 'the request is not a message of this method');
  }
  if ((code === status.INTERNAL || code === status.UNIMPLEMENTED) && CALLERS_FAULT.test(text)) {
    return new ServiceError('invalid-argument', 'MALFORMED_MESSAGE', text);
  }
  return fromGrpcError(Object.assign(new Error(text), { code, details: text, metadata: metadata ?? new Metadata() }));
}
