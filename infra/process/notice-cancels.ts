import type { Server } from '@grpc/grpc-js';

/**
 * Lets a bound server notice a cancelled call whose messages are not being read at the moment. Node keeps a stream that the client
 * reset open until its data was read, and grpc-js tells a handler of the cancel only when the stream is closed: a call that waits
 * for its own work before it reads on, as back-pressure has it do, would work on for nobody. Reaches for the HTTP/2 servers that
 * grpc-js keeps to itself; where a release has them elsewhere, `predict-stream-service.test.ts` tells.
 */
export function noticeCancels(server: Server): void {
  const servers: unknown = Reflect.get(server, 'http2Servers');
  if (servers instanceof Map) {
    for (const http2Server of servers.keys()) {
      listen(http2Server, 'stream', (stream) => listen(stream, 'aborted', () => destroy(stream)));
    }
  }
}

function listen(target: unknown, event: string, listener: (subject: unknown) => void): void {
  const on = property(target, 'on');
  if (typeof on === 'function') {
    on.call(target, event, listener);
  }
}

function destroy(stream: unknown): void {
  const end = property(stream, 'destroy');
  if (typeof end === 'function') {
    end.call(stream);
  }
}

function property(target: unknown, name: string): unknown {
  return typeof target === 'object' && target !== null ? Reflect.get(target, name) : undefined;
}
