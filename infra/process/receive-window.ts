import type { Server } from '@grpc/grpc-js';
import { http2ServersOf, invoke, listen, property } from './http2-internals.ts';

/**
 * Bytes that a client may send ahead on one connection, and on one stream of it. HTTP/2's default of 64 KiB makes an image of
 * 1.3 MB wait twenty times for the server's leave to go on: 5 ms on one machine, twenty round trips between two. This one lets it
 * through at once, and still bounds what a client can make us hold.
 */
export const RECEIVE_WINDOW_BYTES = 4 * 1024 * 1024;

/**
 * Widens the receive window of a server that is not bound yet; call the result once it is. grpc-js has an option for it in clients
 * only (`grpc-node.flow_control_window`), so this reaches for the options that it keeps to itself. Where a release of grpc-js has
 * them elsewhere nothing changes but the speed, and `receive-window.test.ts` tells.
 */
export function widenReceiveWindow(server: Server): () => void {
  const settings = property(property(server, 'commonServerOptions'), 'settings');
  if (typeof settings === 'object' && settings !== null) {
    Object.assign(settings, { initialWindowSize: RECEIVE_WINDOW_BYTES });
  }
  return () => {
    for (const http2Server of http2ServersOf(server)) {
      // The settings are each stream's window; the connection's own is set on its session.
      listen(http2Server, 'session', (session) => invoke(session, 'setLocalWindowSize', RECEIVE_WINDOW_BYTES));
    }
  };
}
