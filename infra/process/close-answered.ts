import { constants } from 'node:http2';
import type { Server } from '@grpc/grpc-js';
import { http2ServersOf, invoke, listen, property } from './http2-internals.ts';

/**
 * Has a bound server close a call for good once its status is sent, as HTTP/2 provides for a client that has not ended its own
 * half (RFC 9113, 8.1). grpc-js waits for the client to do it: one that does not would keep a place on its connection for ever, and
 * a shutdown would wait for it until the end of the grace period.
 */
export function closeAnswered(server: Server): void {
  for (const http2Server of http2ServersOf(server)) {
    listen(http2Server, 'stream', (stream) => {
      listen(stream, 'wantTrailers', () => closeAfterTrailers(stream));
      // A call that is refused before a handler answers has its status in the header, and no trailers.
      listen(stream, 'finish', () => {
        if (property(property(stream, 'sentHeaders'), 'grpc-status') !== undefined) {
          closeAfterTrailers(stream);
        }
      });
    });
  }
}

/** grpc-js hands Node the trailers, with the status, in this same event, and Node sends them one turn later; the reset must follow. */
function closeAfterTrailers(stream: unknown): void {
  queueMicrotask(() => setImmediate(() => invoke(stream, 'close', constants.NGHTTP2_NO_ERROR)));
}
