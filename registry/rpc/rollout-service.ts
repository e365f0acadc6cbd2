import type {
  RegistryServiceServer,
  WatchRolloutRequest,
  WatchRolloutResponse,
} from '../../proto/gen/maskterial/registry/v1/registry_service.ts';
import type { Handlers } from '../../proto/wire/handlers.ts';
import { toDuration } from '../../proto/wire/status.ts';
import type { Registry } from '../release/registry.ts';
import { reportFrom, toRollout } from './convert-rollout.ts';

/** What inference servers report, and what they do as a whole. */
export function createRolloutCalls(
  registry: Registry,
  handlers: Handlers,
): Pick<RegistryServiceServer, 'reportServables' | 'getRollout' | 'watchRollout' | 'prefetchVersion'> {
  return {
    reportServables: handlers.unary(async (request, context) => {
      context.annotate({ server: request.server?.name, serverId: request.server?.id });
      const { expireAfterMs } = await registry.reportServables(reportFrom(request), context.signal);
      return { expireAfter: toDuration(expireAfterMs) };
    }),
    getRollout: handlers.unary(async ({ model, alias }, context) => {
      context.annotate({ model, alias });
      return { rollout: toRollout(await registry.getRollout({ model, alias }, context.signal)) };
    }),
    prefetchVersion: handlers.unary(async ({ model, version, holdSeconds }, context) => {
      context.annotate({ model, version });
      const { expireTimeMs } = await registry.prefetchVersion({ model, version, holdSeconds }, context.signal);
      return { expireTime: new Date(expireTimeMs) };
    }),
    watchRollout: handlers.serverStream(async function* (
      { model, alias, heartbeatSeconds }: WatchRolloutRequest,
      context,
    ): AsyncGenerator<WatchRolloutResponse> {
      context.annotate({ model, alias });
      const signal = AbortSignal.any([context.signal, context.shutdown]);
      for await (const event of registry.watchRollout({ model, alias, heartbeatSeconds }, signal)) {
        yield event.kind === 'heartbeat'
          ? { event: { $case: 'heartbeat', value: {} } }
          : { event: { $case: 'rollout', value: toRollout(event.rollout) } };
      }
    }),
  };
}
