import { credentials } from '@grpc/grpc-js';
import { RegistryServiceClient } from '../../proto/gen/maskterial/registry/v1/registry_service.ts';
import { registryOverGrpc } from '../support/registry/registry-over-grpc.ts';
import { type ServeProcess, startServeProcess } from '../support/serve-process.ts';
import { fill } from './registry-pair.ts';

/** A registry in a process of its own, as a user runs one. */
export function startBenchRegistry(env: Readonly<Record<string, string>>): Promise<ServeProcess> {
  return startServeProcess('registry', { REGISTRY_PORT: '0', LOG_LEVEL: 'warn', ...env });
}

/** See `fill`. */
export async function fillRegistry(address: string): Promise<void> {
  const stub = new RegistryServiceClient(address, credentials.createInsecure());
  await fill(registryOverGrpc(stub));
  stub.close();
}
