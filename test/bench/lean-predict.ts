import { type ClientHttp2Session, connect, type IncomingHttpHeaders } from 'node:http2';
import { Metadata } from '@grpc/grpc-js';
import { toOptionsMessage } from '../../clients/predict-request.ts';
import { PredictRequest, PredictResponse } from '../../proto/gen/maskterial/inference/v1/inference_service.ts';
import { fromGrpcError } from '../../proto/wire/status.ts';

/** A byte that says whether a message is compressed, and four of its length (gRPC over HTTP/2, Length-Prefixed-Message). */
const PREFIX_BYTES = 5;

/**
 * Predict of one image, again and again over one connection, for as little processor time as it takes: the request is encoded once,
 * and HTTP/2 sends it from where it lies. A load that shares its machine with the server must not be what slows the server down.
 */
export class LeanPredict {
  readonly #session: ClientHttp2Session;
  readonly #request: Buffer;

  constructor(address: string, image: Buffer, model: string) {
    const message = PredictRequest.encode({ image, options: toOptionsMessage({ classification: model }) }).finish();
    const prefix = Buffer.alloc(PREFIX_BYTES);
    prefix.writeUInt32BE(message.byteLength, 1);
    this.#request = Buffer.concat([prefix, message]);
    // As grpc-js sets it: Node counts what a refused call had left to send for ever, and with its own limit would break off all calls.
    this.#session = connect(`http://${address}`, { maxSessionMemory: Number.MAX_SAFE_INTEGER });
    // A connection that breaks fails its calls, and each says so.
    this.#session.on('error', () => undefined);
  }

  /**
   * The manifest digest that answered.
   * @throws ServiceError the server's; Error when the connection broke.
   */
  async call(): Promise<string | undefined> {
    const stream = this.#session.request({
      ':method': 'POST',
      ':path': '/maskterial.inference.v1.InferenceService/Predict',
      'content-type': 'application/grpc+proto',
      te: 'trailers',
      'grpc-timeout': '60S',
    });
    let status: IncomingHttpHeaders = {};
    const keepStatus = (headers: IncomingHttpHeaders): void => {
      status = { ...status, ...headers };
    };
    stream.on('response', keepStatus);
    stream.on('trailers', keepStatus);
    stream.end(this.#request);
    const pieces: Buffer[] = [];
    stream.on('data', (piece: Buffer) => void pieces.push(piece));
    await new Promise<void>((resolve) => {
      // What broke it shows in the status that is missing.
      stream.on('error', () => resolve());
      stream.on('close', () => resolve());
    });
    const code = Number(status['grpc-status'] ?? Number.NaN);
    if (Number.isNaN(code)) {
      throw new Error('the call broke');
    }
    if (code !== 0) {
      const details = decodeURI(String(status['grpc-message'] ?? ''));
      throw fromGrpcError(Object.assign(new Error(details), { code, details, metadata: Metadata.fromHttp2Headers(status) }));
    }
    return digestIn(Buffer.concat(pieces));
  }

  close(): void {
    this.#session.close();
  }
}

/** Of the summary, which is the last message. */
function digestIn(body: Buffer): string | undefined {
  let digest: string | undefined;
  for (let offset = 0; offset < body.byteLength; ) {
    const end = offset + PREFIX_BYTES + body.readUInt32BE(offset + 1);
    const { event } = PredictResponse.decode(body.subarray(offset + PREFIX_BYTES, end));
    if (event?.$case === 'summary') {
      digest = event.value.models[0]?.manifestDigest;
    }
    offset = end;
  }
  return digest;
}
