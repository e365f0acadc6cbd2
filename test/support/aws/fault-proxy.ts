import { type ClientRequest, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What happens to a request instead of being passed on, or to its answer. */
export type Fault =
  /** An answer of the proxy's own; AWS's throttling is one of these. */
  | { readonly kind: 'answer'; readonly status: number; readonly body: string }
  /** The connection breaks before the request is passed on, or after it took effect and before its answer. */
  | { readonly kind: 'reset' }
  /** It is passed on to nobody, and nothing ever comes back. */
  | { readonly kind: 'silence' }
  | { readonly kind: 'lost-answer' }
  /** The answer ends, or stands still, after this many bytes of its body. */
  | { readonly kind: 'cut'; readonly afterBytes: number }
  | { readonly kind: 'stall'; readonly afterBytes: number };

export interface SeenRequest {
  readonly method: string;
  readonly url: string;
  /** DynamoDB names its operation there. */
  readonly target: string;
  /** S3 makes the bytes of another object, and may fail although it began its answer with 200. */
  readonly isCopy: boolean;
}

export interface FaultProxy {
  readonly url: string;
  /** All requests so far, in order. */
  readonly requests: readonly SeenRequest[];
  /** Asked for each request; undefined passes it on as it is. */
  setFault(choose: (seen: SeenRequest, index: number) => Fault | undefined): void;
  stop(): Promise<void>;
}

/** Stands between a client and a server of this machine, counts, and makes trouble. */
export async function startFaultProxy(serverUrl: string): Promise<FaultProxy> {
  const { hostname, port } = new URL(serverUrl);
  const requests: SeenRequest[] = [];
  let choose: (seen: SeenRequest, index: number) => Fault | undefined = () => undefined;
  const server = createServer((incoming, answer) => {
    const seen = {
      method: incoming.method ?? '',
      url: incoming.url ?? '',
      target: String(incoming.headers['x-amz-target'] ?? ''),
      isCopy: incoming.headers['x-amz-copy-source'] !== undefined,
    };
    requests.push(seen);
    const fault = choose(seen, requests.length - 1);
    if (fault?.kind === 'reset') {
      incoming.socket.destroy();
    } else if (fault?.kind === 'silence') {
      incoming.resume();
    } else if (fault?.kind === 'answer') {
      incoming.resume();
      answer.writeHead(fault.status, { 'content-type': 'application/x-amz-json-1.0' }).end(fault.body);
    } else {
      // The host is part of what the client signed.
      const options = { hostname, port, method: incoming.method, path: incoming.url, headers: incoming.headers, setHost: false };
      const outgoing: ClientRequest = request(options, (response) => passOn(response, answer, fault));
      outgoing.once('error', () => answer.destroy());
      answer.once('close', () => outgoing.destroy());
      incoming.pipe(outgoing);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    setFault: (chosen) => {
      choose = chosen;
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function passOn(response: IncomingMessage, answer: ServerResponse, fault: Fault | undefined): void {
  if (fault?.kind === 'lost-answer') {
    response.resume();
    response.once('end', () => answer.destroy());
    return;
  }
  answer.writeHead(response.statusCode ?? 500, response.headers);
  answer.flushHeaders();
  if (fault === undefined) {
    response.pipe(answer);
    return;
  }
  let room = fault.kind === 'cut' || fault.kind === 'stall' ? fault.afterBytes : 0;
  response.on('data', (bytes: Buffer) => {
    answer.write(bytes.subarray(0, room));
    room = Math.max(0, room - bytes.byteLength);
  });
  if (fault.kind === 'cut') {
    // What was written is on its way before the connection ends.
    response.once('end', () => setImmediate(() => answer.destroy()));
  }
}
