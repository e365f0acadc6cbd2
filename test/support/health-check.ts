import { Client, credentials } from '@grpc/grpc-js';
import { callServerStream, callUnary } from '../../proto/wire/calls.ts';

/** What grpc.health.v1 calls SERVING, NOT_SERVING and SERVICE_UNKNOWN. */
export const SERVING = 1;
export const NOT_SERVING = 2;
export const SERVICE_UNKNOWN = 3;

export interface HealthClient extends Disposable {
  /** The state of a service, as a number; @throws ServiceError like any call. */
  check(service: string): Promise<number>;
  /** Each state of a service in turn. */
  watch(service: string): AsyncGenerator<number>;
}

/** Asks the standard health service, as a load balancer does. */
export function healthClient(address: string, timeoutMs = 180_000): HealthClient {
  const client = new Client(address, credentials.createInsecure());
  return {
    check: (service) =>
      callUnary<string, number>(
        (name, metadata, options, done) =>
          client.makeUnaryRequest('/grpc.health.v1.Health/Check', toRequest, toState, name, metadata, options, (error, state) =>
            done(error, state ?? 0),
          ),
        service,
        { timeoutMs },
      ),
    watch: (service) =>
      callServerStream<string, number>(
        (name, metadata, options) =>
          client.makeServerStreamRequest('/grpc.health.v1.Health/Watch', toRequest, toState, name, metadata, options),
        service,
      ),
    [Symbol.dispose]: () => client.close(),
  };
}

/** HealthCheckRequest: field 1, a text. */
function toRequest(name: string): Buffer {
  return Buffer.concat([Buffer.from([0x0a, name.length]), Buffer.from(name)]);
}

/** HealthCheckResponse: field 1, a number. */
function toState(bytes: Buffer): number {
  return bytes[1] ?? 0;
}
