import type { TestContext } from 'node:test';
import { credentials } from '@grpc/grpc-js';
import type { PredictOptions } from '../../clients/inference-client.ts';
import { toOptionsMessage } from '../../clients/predict-request.ts';
import { EventQueue } from '../../inference/pipeline/event-queue.ts';
import { InferenceServiceClient, type PredictStreamRequest } from '../../proto/gen/maskterial/inference/v1/inference_service.ts';
import { callBidiStream } from '../../proto/wire/calls.ts';
import { messagesOf } from '../../proto/wire/chunks.ts';
import type { ServiceError } from '../../proto/wire/errors.ts';
import { fromRpcStatus } from '../../proto/wire/status.ts';

/** The bare PredictStream: every message as the test says it. */
export interface RawStream {
  /** With the model of the stream, unless `options` say otherwise. */
  begin(imageId: string, options?: PredictOptions): void;
  chunk(bytes: Uint8Array): void;
  /** A whole image. */
  send(imageId: string, bytes: Uint8Array, options?: PredictOptions): void;
  cancel(imageId: string): void;
  /** Anything else. */
  push(request: PredictStreamRequest): void;
  end(): void;
  /** Reads to the end; each `id event` or `id reason` but progress is told as it comes, and is in `told`. */
  read(onEvent?: (line: string) => void): Promise<string[]>;
  readonly told: readonly string[];
  /** Of the images that failed. */
  readonly errors: ReadonlyMap<string, ServiceError>;
}

export function rawStream(t: TestContext, address: string, model: string): RawStream {
  const client = new InferenceServiceClient(address, credentials.createInsecure());
  t.after(() => client.close());
  const requests = new EventQueue<PredictStreamRequest>();
  const responses = callBidiStream(client.predictStream.bind(client), requests);
  const told: string[] = [];
  const errors = new Map<string, ServiceError>();
  const push = (request: PredictStreamRequest['request']): void => requests.push({ ...(request && { request }) });
  const stream: RawStream = {
    told,
    errors,
    begin: (imageId, options = {}) =>
      push({ $case: 'begin', value: { imageId, options: toOptionsMessage({ classification: model, ...options }) } }),
    chunk: (bytes) => push({ $case: 'chunk', value: Buffer.from(bytes) }),
    send: (imageId, bytes, options) => {
      stream.begin(imageId, options);
      for (const piece of messagesOf(bytes)) {
        stream.chunk(piece);
      }
      push({ $case: 'end', value: {} });
    },
    cancel: (imageId) => push({ $case: 'cancel', value: { imageId } }),
    push: (request) => requests.push(request),
    end: () => requests.end(),
    read: async (onEvent = () => undefined) => {
      for await (const { imageId, event } of responses) {
        const error = event?.$case === 'error' ? fromRpcStatus(event.value) : undefined;
        if (error !== undefined) {
          errors.set(imageId, error);
        }
        if (event?.$case !== 'progress') {
          const line = `${imageId} ${error?.reason ?? event?.$case}`;
          told.push(line);
          onEvent(line);
        }
      }
      return told;
    },
  };
  return stream;
}
