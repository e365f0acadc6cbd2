import { type ClientHttp2Session, connect, constants, type IncomingHttpHeaders, type OutgoingHttpHeaders } from 'node:http2';
import type { status } from '@grpc/grpc-js';
import { Status } from '../../proto/gen/google/rpc/status.ts';
import type { ServiceError } from '../../proto/wire/errors.ts';
import { fromRpcStatus } from '../../proto/wire/status.ts';

/** What came back. `left`: the caller had enough and cancelled; `silent`: nothing for too long. */
export type RawOutcome =
  | {
      readonly kind: 'status';
      readonly code: status;
      readonly message: string;
      /** From the details; undefined where there are none, as with OK. */
      readonly error: ServiceError | undefined;
    }
  | { readonly kind: 'http'; readonly status: number }
  | { readonly kind: 'reset'; readonly code: number }
  | { readonly kind: 'left' }
  | { readonly kind: 'silent' };

export interface RawCall {
  readonly path: string;
  /** Sent one after the other, as they are. */
  readonly body: readonly Uint8Array[];
  readonly headers?: OutgoingHttpHeaders;
  /** `open` sends no end and leaves after a moment; `reset` cancels right after the last byte. Unset: ends. */
  readonly ending?: 'open' | 'reset';
  /** Leaves at the first bytes of an answer that has no end. */
  readonly isEndless?: boolean;
}

const LIMIT_MS = 30_000;
const MOMENT_MS = 30;

/** A gRPC client that sends whatever bytes it is told. Connects again after its connection was closed. */
export class RawGrpc implements Disposable {
  readonly #address: string;
  #session: ClientHttp2Session | undefined;

  constructor(address: string) {
    this.#address = address;
  }

  call({ path, body, headers = {}, ending, isEndless = false }: RawCall): Promise<RawOutcome> {
    const session = this.#connected();
    return new Promise((resolve) => {
      const stream = session.request({
        ':method': 'POST',
        ':path': path,
        'content-type': 'application/grpc',
        te: 'trailers',
        ...headers,
      });
      let status: IncomingHttpHeaders = {};
      let isLeft = false;
      const leave = (): void => {
        isLeft = true;
        stream.close(constants.NGHTTP2_CANCEL);
      };
      const timer = setTimeout(
        () => {
          if (ending !== 'open') {
            resolve({ kind: 'silent' });
          }
          leave();
        },
        ending === 'open' ? MOMENT_MS : LIMIT_MS,
      );
      stream.on('response', (response) => {
        status = response;
      });
      stream.on('trailers', (trailers) => {
        status = { ...status, ...trailers };
      });
      stream.on('data', () => {
        if (isEndless) {
          leave();
        }
      });
      // It is followed by a close.
      stream.on('error', () => undefined);
      stream.on('close', () => {
        clearTimeout(timer);
        resolve(toOutcome(status, stream.rstCode, isLeft));
      });
      for (const bytes of body) {
        stream.write(bytes);
      }
      if (ending === undefined) {
        stream.end();
      } else if (ending === 'reset') {
        leave();
      }
    });
  }

  [Symbol.dispose](): void {
    this.#session?.destroy();
  }

  #connected(): ClientHttp2Session {
    if (this.#session === undefined || this.#session.closed || this.#session.destroyed) {
      this.#session = connect(`http://${this.#address}`);
      this.#session.setMaxListeners(0);
      this.#session.on('error', () => undefined);
    }
    return this.#session;
  }
}

/** A message in gRPC's frame: a flag, its length, its bytes. */
export function frame(message: Uint8Array, { flag = 0, length = message.byteLength } = {}): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flag;
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, message]);
}

function toOutcome(headers: IncomingHttpHeaders, resetCode: number, isLeft: boolean): RawOutcome {
  const code = headers['grpc-status'];
  if (typeof code === 'string') {
    const encoded = headers['grpc-status-details-bin'];
    const error = typeof encoded === 'string' ? fromRpcStatus(Status.decode(Buffer.from(encoded, 'base64'))) : undefined;
    return { kind: 'status', code: Number(code), message: String(headers['grpc-message'] ?? ''), error };
  }
  if (isLeft) {
    return { kind: 'left' };
  }
  const status = Number(headers[':status'] ?? 200);
  return status === 200 ? { kind: 'reset', code: resetCode } : { kind: 'http', status };
}
