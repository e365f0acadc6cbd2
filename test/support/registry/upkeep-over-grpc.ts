import type { RegistryServiceClient } from '../../../proto/gen/maskterial/registry/v1/registry_service.ts';
import { callUnary } from '../../../proto/wire/calls.ts';
import type { Registry } from '../../../registry/release/registry.ts';
import { toRef, toVersion } from './from-messages.ts';

/** The part of a registry at the other end of a connection that keeps it tidy. */
export function upkeepOverGrpc(
  client: RegistryServiceClient,
): Pick<Registry, 'deprecateVersion' | 'undeprecateVersion' | 'deleteVersion' | 'collectGarbage'> {
  return {
    deprecateVersion: async (command, signal) =>
      toVersion((await callUnary(client.deprecateVersion.bind(client), command, { signal })).version),
    undeprecateVersion: async (command, signal) =>
      toVersion((await callUnary(client.undeprecateVersion.bind(client), command, { signal })).version),
    deleteVersion: async (command, signal) => {
      await callUnary(client.deleteVersion.bind(client), command, { signal });
    },
    collectGarbage: async ({ isDryRun, graceSeconds }, signal) => {
      const request = { dryRun: isDryRun, graceSeconds };
      const answer = await callUnary(client.collectGarbage.bind(client), request, { signal });
      return { ...answer, blobBytes: Number(answer.blobBytes), blobs: answer.blobs.map(toRef) };
    },
  };
}
