import { Server, ServerCredentials, type ServiceDefinition, type UntypedServiceImplementation } from '@grpc/grpc-js';
import { noticeCancels } from '../../infra/process/notice-cancels.ts';

/** A grpc-js server on a free port of this machine; disposing cuts its connections. */
export interface TestServer {
  readonly address: string;
  [Symbol.asyncDispose](): Promise<void>;
}

export async function startGrpcServer(
  definition: ServiceDefinition,
  implementation: UntypedServiceImplementation,
  port = 0,
): Promise<TestServer> {
  const server = new Server({ 'grpc.max_receive_message_length': 64 * 1024 * 1024 });
  server.addService(definition, implementation);
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, found) =>
      error === null ? resolve(found) : reject(error),
    );
  });
  noticeCancels(server);
  return {
    address: `127.0.0.1:${bound}`,
    [Symbol.asyncDispose]: async () => server.forceShutdown(),
  };
}
