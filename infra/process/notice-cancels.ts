import type { Server } from '@grpc/grpc-js';
import { http2ServersOf, invoke, listen } from './http2-internals.ts';

/**
 * Lets a bound server notice a cancelled call whose messages are not being read at the moment. Node keeps a stream that the client
 * reset open until its data was read, and grpc-js tells a handler of the cancel only when the stream is closed: a call that waits
 * for its own work before it reads on, as back-pressure has it do, would work on for nobody. `predict-stream-service.test.ts` tells
 * where a release of grpc-js breaks it.
 */
export function noticeCancels(server: Server): void {
  for (const http2Server of http2ServersOf(server)) {
    listen(http2Server, 'stream', (stream) => listen(stream, 'aborted', () => invoke(stream, 'destroy')));
  }
}
