import type { RunningServer } from '../infra/process/serve.ts';
import { modelHealth } from './rollout/model-health.ts';
import type { Rollout } from './rollout/rollout.ts';
import type { LoadedSet, ServableId } from './rollout/servable.ts';

interface Engines extends LoadedSet {
  /** Loaded, and yet nothing is answered: every engine that holds it ends again and again. */
  isFailing(id: ServableId): boolean;
}

/**
 * Tells the health service what this server serves, until `signal` is aborted: of the service itself once, when it is ready; of
 * each model, after every change of the rollout and whenever `tell` is called.
 */
export function announceHealth<G extends Engines>(
  rollout: Rollout<G>,
  server: Pick<RunningServer, 'setServing' | 'setParts'>,
  service: string,
  signal: AbortSignal,
): { tell(): void; readonly ended: Promise<void> } {
  const tell = (): void => {
    const loaded = rollout.current;
    const parts = modelHealth(rollout.status(), (id) => loaded?.has(id) === true && !loaded.isFailing(id));
    server.setParts(service, parts);
  };
  // From then on a broken version never makes the server unready.
  const ready = async (): Promise<void> => {
    await rollout.settled(signal);
    server.setServing(service, true);
  };
  const follow = async (): Promise<void> => {
    for (;;) {
      tell();
      await rollout.changed(signal);
    }
  };
  const untilAborted = (error: unknown): void => {
    if (!signal.aborted) {
      throw error;
    }
  };
  return { tell, ended: Promise.all([ready().catch(untilAborted), follow().catch(untilAborted)]).then(() => undefined) };
}
