import type { ServableSpec } from '../rollout/servable.ts';
import { EngineProcess, type StartLimits } from './engine-process.ts';
import type { LoadFailure } from './protocol.ts';

type Started = Awaited<ReturnType<typeof EngineProcess.start>>;

/** Told of each process as it starts, and when all are ready. */
interface StartPriority {
  lower(pid: number): void;
  restore(pid: number): void;
}

/**
 * Starts the engines of a generation: all at once, or, `beside` one that serves, one after another and at a lower priority. All
 * of them are ready, or none is left.
 * @throws ServiceError unavailable ENGINE_CRASHED when an engine ends before it is ready; failed-precondition LOAD_FAILED when
 * one is not ready in time; the signal's reason when aborted.
 */
export async function startEngines(
  servables: readonly ServableSpec[],
  settings: StartLimits & { readonly engines: number; readonly modulePath: string },
  beside: StartPriority | undefined,
  signal: AbortSignal,
): Promise<{ readonly engines: readonly EngineProcess[] } | { readonly failures: readonly LoadFailure[] }> {
  const start = (onSpawned?: (pid: number) => void): Promise<Started> =>
    EngineProcess.start(settings.modulePath, servables, settings, signal, onSpawned);
  const outcomes =
    beside === undefined
      ? await Promise.allSettled(Array.from({ length: settings.engines }, () => start()))
      : await startInTurn(settings.engines, () => start((pid) => beside.lower(pid)));
  const started = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
  const engines = started.map(({ engine }) => engine);
  const failures = started.flatMap((outcome) => outcome.failures);
  const broken = outcomes.find((outcome) => outcome.status === 'rejected');
  if (broken === undefined && failures.length === 0) {
    for (const { pid } of engines) {
      beside?.restore(pid);
    }
    return { engines };
  }
  for (const engine of engines) {
    engine.kill();
    await engine.exited;
  }
  if (failures.length > 0) {
    return { failures };
  }
  throw broken?.reason;
}

/** Ends with the first that cannot be used: the others would fare no better. */
async function startInTurn(count: number, start: () => Promise<Started>): Promise<PromiseSettledResult<Started>[]> {
  const outcomes: PromiseSettledResult<Started>[] = [];
  for (let turn = 0; turn < count; turn += 1) {
    const [outcome] = await Promise.allSettled([start()]);
    outcomes.push(outcome);
    if (outcome.status === 'rejected' || outcome.value.failures.length > 0) {
      break;
    }
  }
  return outcomes;
}
