import type { RegistryServiceServer } from '../../proto/gen/maskterial/registry/v1/registry_service.ts';
import type { Handlers } from '../../proto/wire/handlers.ts';
import type { Registry } from '../release/registry.ts';
import { toBlobRef, toVersion } from './convert.ts';

/** What keeps the registry tidy. */
export function createUpkeepCalls(
  registry: Registry,
  handlers: Handlers,
): Pick<RegistryServiceServer, 'deprecateVersion' | 'undeprecateVersion' | 'deleteVersion' | 'collectGarbage'> {
  return {
    deprecateVersion: handlers.unary(async ({ model, version, reason }, context) => {
      context.annotate({ model, version });
      return { version: toVersion(await registry.deprecateVersion({ model, version, reason }, context.signal)) };
    }),
    undeprecateVersion: handlers.unary(async ({ model, version }, context) => {
      context.annotate({ model, version });
      return { version: toVersion(await registry.undeprecateVersion({ model, version }, context.signal)) };
    }),
    deleteVersion: handlers.unary(async (request, context) => {
      context.annotate({ model: request.model, version: request.version });
      await registry.deleteVersion(request, context.signal);
      return {};
    }),
    collectGarbage: handlers.unary(async ({ dryRun, graceSeconds }, context) => {
      const found = await registry.collectGarbage({ isDryRun: dryRun, graceSeconds }, context.signal);
      const { stagingCount, blobCount, blobBytes, blobs } = found;
      context.annotate({ stagingCount, blobCount, blobBytes });
      return { stagingCount, blobCount, blobBytes: BigInt(blobBytes), blobs: blobs.map(toBlobRef) };
    }),
  };
}
