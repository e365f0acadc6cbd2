import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { Server } from '@grpc/grpc-js';
import type { ServiceError } from '../../proto/wire/errors.ts';
import { type CallReport, requestIdOf } from '../../proto/wire/handlers.ts';
import { toGrpcStatus } from '../../proto/wire/status.ts';
import { http2ServersOf, invoke, property } from './http2-internals.ts';

export interface RefuseEarlyDeps {
  /** Why a call of this method is not taken now; undefined where it is. */
  readonly refusal: (path: string) => ServiceError | undefined;
  readonly report: (call: CallReport) => void;
  readonly onRefused: () => void;
}

type OnStream = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, ...rest: unknown[]) => void;

/**
 * Has a bound server answer refused calls as soon as their header is there. A handler of one message runs only once that message is
 * read, whole: a server with more callers than it can serve would spend on the images that it refuses what it needs for those that
 * it takes. grpc-js cannot end a call's reading, so such a call never reaches it: the status goes out with the header, and a reset
 * without an error behind it (RFC 9113, 8.1), after which HTTP/2 drops what still comes of the message. To be called before others
 * listen to the HTTP/2 servers. Where a release of grpc-js has these elsewhere, calls are refused later; `serve.test.ts` tells.
 */
export function refuseEarly(server: Server, { refusal, report, onRefused }: RefuseEarlyDeps): void {
  for (const http2Server of http2ServersOf(server)) {
    for (const onStream of streamListenersOf(http2Server)) {
      const unlessRefused: OnStream = (stream, headers, ...rest) => {
        const path = headers[':path'] ?? '';
        const error = refusal(path);
        if (error === undefined) {
          onStream(stream, headers, ...rest);
        } else {
          refuse(stream, headers, path, error, report);
          onRefused();
        }
      };
      invoke(http2Server, 'off', 'stream', onStream);
      invoke(http2Server, 'on', 'stream', unlessRefused);
    }
  }
}

function refuse(
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  path: string,
  error: ServiceError,
  report: (call: CallReport) => void,
): void {
  const requestId = requestIdOf(headers['x-request-id']);
  const { code, details, metadata } = toGrpcStatus(error);
  const { remoteAddress = '', remotePort = 0 } = stream.session?.socket ?? {};
  // A client that left meanwhile is no failure of this server's.
  stream.on('error', () => undefined);
  stream.respond(
    {
      ':status': 200,
      'content-type': 'application/grpc+proto',
      'grpc-status': code,
      'grpc-message': encodeURI(details),
      'x-request-id': requestId,
      ...metadata.toHttp2Headers(),
    },
    { endStream: true },
  );
  // A turn later: Node 22 would send the reset alone, and the caller never learn why.
  setImmediate(() => stream.close(constants.NGHTTP2_NO_ERROR));
  report({
    method: path,
    requestId,
    peer: `${remoteAddress}:${remotePort}`,
    durationMs: 0,
    fields: {},
    error,
    defect: undefined,
  });
}

function streamListenersOf(http2Server: unknown): readonly OnStream[] {
  const listeners = property(http2Server, 'listeners');
  return typeof listeners === 'function' ? listeners.call(http2Server, 'stream') : [];
}
