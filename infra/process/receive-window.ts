import type { Server } from '@grpc/grpc-js';
import { http2ServersOf, invoke, listen, property } from './http2-internals.ts';

/**
 * Bytes that a client may send ahead on one connection, and on one stream of it. HTTP/2's default of 64 KiB makes an image of
 * 1.3 MB wait twenty times for the server's leave to go on: 5 ms on one machine, twenty round trips between two. This one lets it
 * through at once, and still bounds what a client can make us hold.
 */
export const RECEIVE_WINDOW_BYTES = 4 * 1024 * 1024;

/** What a refused call may have sent before it hears of it. With less, those that are taken ask for leave so often that it costs more. */
export const NARROW_WINDOW_BYTES = 256 * 1024;

/** After the last call that was refused. */
const NARROW_MS = 1_000;

/**
 * How much clients may send ahead. grpc-js has an option for it in clients only (`grpc-node.flow_control_window`), so this reaches
 * for the options that it keeps to itself. Where a release of grpc-js has them elsewhere nothing changes but the speed, and
 * `receive-window.test.ts` tells.
 */
export class ReceiveWindow {
  readonly #sessions = new Set<unknown>();
  #narrowing: NodeJS.Timeout | undefined;

  /** Widens the window of a server that is not bound yet; `attach` follows once it is. */
  constructor(server: Server) {
    const settings = property(property(server, 'commonServerOptions'), 'settings');
    if (typeof settings === 'object' && settings !== null) {
      Object.assign(settings, { initialWindowSize: RECEIVE_WINDOW_BYTES });
    }
  }

  attach(server: Server): void {
    for (const http2Server of http2ServersOf(server)) {
      listen(http2Server, 'session', (session) => {
        // The settings are each stream's window; the connection's own is set on its session.
        invoke(session, 'setLocalWindowSize', RECEIVE_WINDOW_BYTES);
        this.#sessions.add(session);
        listen(session, 'close', () => void this.#sessions.delete(session));
        // What a session was to be told while its peer owed it an answer.
        listen(session, 'localSettings', (settings) => {
          if (property(settings, 'initialWindowSize') !== this.#streamBytes) {
            setStreamWindow(session, this.#streamBytes);
          }
        });
      });
    }
  }

  /**
   * To be called for each call that is refused before its message was read: what it had sent already had to be read in vain. While
   * that happens, streams begin with little, and who is taken asks for leave to send the rest; a second later all is as before.
   */
  narrow(): void {
    if (this.#narrowing !== undefined) {
      this.#narrowing.refresh();
      return;
    }
    this.#narrowing = setTimeout(() => {
      this.#narrowing = undefined;
      this.#tellAll();
    }, NARROW_MS);
    this.#narrowing.unref();
    this.#tellAll();
  }

  get #streamBytes(): number {
    return this.#narrowing === undefined ? RECEIVE_WINDOW_BYTES : NARROW_WINDOW_BYTES;
  }

  #tellAll(): void {
    for (const session of this.#sessions) {
      setStreamWindow(session, this.#streamBytes);
    }
  }
}

/** A peer that has not acknowledged the last change is not told another: it may be gone, and only so many may be open. */
function setStreamWindow(session: unknown, bytes: number): void {
  if (property(session, 'destroyed') === false && property(session, 'pendingSettingsAck') === false) {
    invoke(session, 'settings', { initialWindowSize: bytes });
  }
}
