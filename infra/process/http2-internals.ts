import type { Server } from '@grpc/grpc-js';

/**
 * The HTTP/2 servers under a bound server, for what grpc-js has no option for. It keeps them to itself: where a release has them
 * elsewhere there are none, and the test of whoever asks for them tells.
 */
export function http2ServersOf(server: Server): readonly unknown[] {
  const servers = property(server, 'http2Servers');
  return servers instanceof Map ? [...servers.keys()] : [];
}

/** Listens where `target` is an emitter. */
export function listen(target: unknown, event: string, listener: (subject: unknown) => void): void {
  invoke(target, 'on', event, listener);
}

/** Calls a method where there is one of that name. */
export function invoke(target: unknown, name: string, ...args: readonly unknown[]): void {
  const method = property(target, name);
  if (typeof method === 'function') {
    method.apply(target, args);
  }
}

export function property(target: unknown, name: string): unknown {
  return typeof target === 'object' && target !== null ? Reflect.get(target, name) : undefined;
}
