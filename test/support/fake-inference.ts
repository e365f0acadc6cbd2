import {
  type GetStatusResponse,
  InferenceServiceService,
  type PredictRequest,
  type PredictResponse,
  type PredictStreamRequest,
  type PredictStreamResponse,
} from '../../proto/gen/maskterial/inference/v1/inference_service.ts';
import { type CallContext, createHandlers } from '../../proto/wire/handlers.ts';
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

/** An inference server that answers as the test says, behind a real gRPC server. */
export class FakeInference {
  readonly requests: PredictRequest[] = [];
  predict: PredictScript;
  predictStream: PredictStreamScript = () => failWith(new Error('this test has no script for streams'));
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
