import { Client, credentials, Metadata } from '@grpc/grpc-js';

/** What grpc.health.v1 calls SERVING. */
export const SERVING = 1;

export interface HealthClient extends Disposable {
  /** The state of a service, as a number; fails like any call that is not answered in time. */
  check(service: string): Promise<number>;
}

/** Asks the standard health service, as a load balancer does. */
export function healthClient(address: string, timeoutMs = 20_000): HealthClient {
  const client = new Client(address, credentials.createInsecure());
  return {
    check: (service) =>
      new Promise((resolve, reject) => {
        client.makeUnaryRequest(
          '/grpc.health.v1.Health/Check',
          // HealthCheckRequest: field 1, a text. HealthCheckResponse: field 1, a number.
          (name: string) => Buffer.concat([Buffer.from([0x0a, name.length]), Buffer.from(name)]),
          (bytes) => bytes[1] ?? 0,
          service,
          new Metadata(),
          { deadline: Date.now() + timeoutMs },
          (error, state) => (error === null && state !== undefined ? resolve(state) : reject(error ?? new Error('no answer'))),
        );
      }),
    [Symbol.dispose]: () => client.close(),
  };
}
