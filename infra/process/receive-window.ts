import type { Server } from '@grpc/grpc-js';

/**
 * Bytes that a client may send ahead on one connection, and on one stream of it. HTTP/2's default of 64 KiB makes an image of
 * 1.3 MB wait twenty times for the server's leave to go on: 5 ms on one machine, twenty round trips between two. This one lets it
 * through at once, and still bounds what a client can make us hold.
 */
export const RECEIVE_WINDOW_BYTES = 4 * 1024 * 1024;

/**
 * Widens the receive window of a server that is not bound yet; call the result once it is. grpc-js has an option for it in clients
 * only (`grpc-node.flow_control_window`), so this reaches for the options and the HTTP/2 servers that it keeps to itself. Where a
 * release of grpc-js has them elsewhere nothing changes but the speed, and `receive-window.test.ts` tells.
 */
export function widenReceiveWindow(server: Server): () => void {
  const settings = property(property(server, 'commonServerOptions'), 'settings');
  if (typeof settings === 'object' && settings !== null) {
    Object.assign(settings, { initialWindowSize: RECEIVE_WINDOW_BYTES });
  }
  return () => {
    const servers = property(server, 'http2Servers');
    if (servers instanceof Map) {
      for (const http2Server of servers.keys()) {
        onSession(http2Server);
      }
    }
  };
}

/** The settings are each stream's window; the connection's own is set on its session. */
function onSession(http2Server: unknown): void {
  const on = property(http2Server, 'on');
  if (typeof on === 'function') {
    on.call(http2Server, 'session', (session: unknown) => {
      const widen = property(session, 'setLocalWindowSize');
      if (typeof widen === 'function') {
        widen.call(session, RECEIVE_WINDOW_BYTES);
      }
    });
  }
}

function property(target: unknown, name: string): unknown {
  return typeof target === 'object' && target !== null ? Reflect.get(target, name) : undefined;
}
