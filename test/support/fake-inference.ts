import {
  type BeginImage,
  type GetStatusResponse,
  InferenceServiceService,
  type PredictRequest,
  type PredictResponse,
  type PredictStreamRequest,
  type PredictStreamResponse,
} from '../../proto/gen/maskterial/inference/v1/inference_service.ts';
import { type CallContext, createHandlers } from '../../proto/wire/handlers.ts';
import { toRpcStatus } from '../../proto/wire/status.ts';
import { startGrpcServer, type TestServer } from './grpc-server.ts';

export type PredictScript = (request: PredictRequest, context: CallContext, call: number) => AsyncIterable<PredictResponse>;

export type PredictStreamScript = (
  requests: AsyncIterable<PredictStreamRequest>,
  context: CallContext,
) => AsyncIterable<PredictStreamResponse>;

/** For scripts that only fail. */
export async function* failWith(failure: Error): AsyncGenerator<never> {
  await Promise.reject(failure);
  yield* [];
}

/** An inference server that answers as the test says, behind a real gRPC server; `requests` are the images of both methods. */
export class FakeInference {
  readonly requests: PredictRequest[] = [];
  predict: PredictScript;
  /** Unless told otherwise, each image is answered by `predict`, one after the other. */
  predictStream: PredictStreamScript = (requests, context) =>
    answerEach(requests, (request) => {
      this.requests.push(request);
      return this.predict(request, context, this.requests.length);
    });
  status: GetStatusResponse | undefined;

  constructor(predict: PredictScript) {
    this.predict = predict;
  }

  start(): Promise<TestServer> {
    const wire = createHandlers({ shutdown: new AbortController().signal, report: () => undefined });
    return startGrpcServer(InferenceServiceService, {
      predict: wire.serverStream((request: PredictRequest, context) => {
        this.requests.push(request);
        return this.predict(request, context, this.requests.length);
      }),
      predictStream: wire.bidiStream((requests: AsyncIterable<PredictStreamRequest>, context) =>
        this.predictStream(requests, context),
      ),
      getStatus: wire.unary(async () => this.status ?? {}),
    });
  }
}

/** A stream's images, each answered as a whole once it came: by the script's events, or by what it throws. */
async function* answerEach(
  messages: AsyncIterable<PredictStreamRequest>,
  predict: (request: PredictRequest) => AsyncIterable<PredictResponse>,
): AsyncGenerator<PredictStreamResponse> {
  let begun: BeginImage | undefined;
  let chunks: Uint8Array[] = [];
  for await (const { request } of messages) {
    if (request?.$case === 'begin') {
      begun = request.value;
      chunks = [];
    } else if (request?.$case === 'chunk') {
      chunks.push(request.value);
    } else if (request?.$case === 'end' && begun !== undefined) {
      const { imageId, options } = begun;
      try {
        for await (const { event } of predict({ image: Buffer.concat(chunks), options })) {
          yield event === undefined ? { imageId } : { imageId, event };
        }
      } catch (error) {
        yield { imageId, event: { $case: 'error', value: toRpcStatus(error) } };
      }
    }
  }
}
