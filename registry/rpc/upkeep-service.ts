import type { RegistryServiceServer } from '../../proto/gen/maskterial/registry/v1/registry_service.ts';
import type { Handlers } from '../../proto/wire/handlers.ts';
import type { Registry } from '../release/registry.ts';
import { toVersion } from './convert.ts';

/** What keeps the registry tidy. */
export function createUpkeepCalls(
  registry: Registry,
  handlers: Handlers,
): Pick<RegistryServiceServer, 'deprecateVersion' | 'undeprecateVersion' | 'deleteVersion'> {
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
  };
}
