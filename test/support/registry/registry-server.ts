import { credentials } from '@grpc/grpc-js';
import type { Environment } from '../../../infra/process/env.ts';
import { createLogger, type Logger } from '../../../infra/process/log.ts';
import { RegistryServiceClient } from '../../../proto/gen/maskterial/registry/v1/registry_service.ts';
import { readRegistryConfig } from '../../../registry/config.ts';
import { type RunningRegistry, startRegistry } from '../../../registry/main.ts';
import type { Registry } from '../../../registry/release/registry.ts';
import { registryOverGrpc } from './registry-over-grpc.ts';

export interface RegistryServer {
  readonly running: RunningRegistry;
  readonly client: RegistryServiceClient;
  readonly registry: Registry;
  [Symbol.asyncDispose](): Promise<void>;
}

/** The real service on a free port of this machine, with a client. */
export async function startRegistryServer(
  folder: string,
  env: Environment = {},
  logger: Logger = createLogger('silent', 'registry'),
): Promise<RegistryServer> {
  // No test waits for the grace: a call that is cut at its end would be told something else than one that ends itself.
  const own = { REGISTRY_DATA: folder, REGISTRY_PORT: '0', REGISTRY_FEED_POLL_MS: '10', GRACE_MS: '120000' };
  const config = readRegistryConfig({ ...own, ...env });
  const running = await startRegistry(config, { logger });
  const client = new RegistryServiceClient(running.address, credentials.createInsecure(), {
    'grpc.max_send_message_length': -1,
    'grpc.use_local_subchannel_pool': 1,
  });
  return {
    running,
    client,
    registry: registryOverGrpc(client),
    [Symbol.asyncDispose]: async () => {
      client.close();
      await running.stop();
    },
  };
}
