import { abortError, ServiceError } from '../../proto/wire/errors.ts';
import { type Backoff, createBackoff } from '../rollout/backoff.ts';
import { type EngineJob, EngineProcess } from './engine-process.ts';
import type { LoadedSet, ServableId, ServableSpec } from '../rollout/servable.ts';
import { type EngineAnswer, type EngineLimits, fromWireError, type LoadFailure } from './protocol.ts';

export interface GenerationSettings extends EngineLimits {
  /** Engine processes; each works on one image at a time. */
  readonly engines: number;
  /** Images that may wait for an engine; one more is refused. */
  readonly maxWaiting: number;
  readonly modulePath: string;
  /** An engine that has not loaded everything by then hangs: it is killed, and its load has failed. */
  readonly loadTimeoutMs: number;
  /** How long an engine whose job was cancelled may go on before it is killed. */
  readonly cancelGraceMs?: number;
}

export interface GenerationDeps {
  readonly onEvent: (event: GenerationEvent) => void;
}

export type GenerationEvent =
  | { readonly kind: 'engine-ended'; readonly generation: number; readonly pid: number; readonly how: string }
  | { readonly kind: 'engine-restart-failed'; readonly generation: number; readonly error: unknown }
  | { readonly kind: 'engine-restarted'; readonly generation: number; readonly pid: number };

export interface EngineReport {
  readonly pid: number;
  readonly isReady: boolean;
  readonly restarts: number;
}

interface Waiting {
  readonly job: EngineJob;
  readonly resolve: (answer: EngineAnswer) => void;
  readonly reject: (error: unknown) => void;
  readonly leave: () => void;
}

interface Seat {
  engine: EngineProcess | undefined;
  isBusy: boolean;
  restarts: number;
  readonly backoff: Backoff;
  /** Fulfilled once the generation is closed and no process of this seat is left. */
  supervised: Promise<void>;
}

/** Weight of the newest duration in the moving average that retry delays come from. */
const SMOOTHING = 0.2;

/** A set of servables loaded in engine processes of their own. Immutable: another set is another generation. */
export class Generation implements LoadedSet {
  readonly id: number;
  readonly servables: readonly ServableSpec[];
  readonly #settings: GenerationSettings;
  readonly #deps: GenerationDeps;
  readonly #seats: Seat[];
  readonly #waiting: Waiting[] = [];
  readonly #closing = new AbortController();
  #meanMs = 100;

  private constructor(
    id: number,
    servables: readonly ServableSpec[],
    engines: EngineProcess[],
    settings: GenerationSettings,
    deps: GenerationDeps,
  ) {
    this.id = id;
    this.servables = servables;
    this.#settings = settings;
    this.#deps = deps;
    this.#seats = engines.map((engine) => {
      const seat: Seat = { engine, isBusy: false, restarts: 0, backoff: createBackoff(), supervised: Promise.resolve() };
      seat.supervised = this.#supervise(seat);
      return seat;
    });
  }

  /**
   * Starts all engines and has each load and warm up every servable. With failures the engines are ended again and there is
   * no generation: what cannot load must not be served beside what can.
   * @throws ServiceError unavailable ENGINE_CRASHED when an engine ends before it is ready; failed-precondition LOAD_FAILED when
   * one is not ready in time; the signal's reason when aborted.
   */
  static async start(
    id: number,
    servables: readonly ServableSpec[],
    settings: GenerationSettings,
    deps: GenerationDeps,
    signal: AbortSignal,
  ): Promise<Generation | readonly LoadFailure[]> {
    const starts = Array.from({ length: settings.engines }, () =>
      EngineProcess.start(settings.modulePath, servables, settings, signal),
    );
    const outcomes = await Promise.allSettled(starts);
    const started = outcomes.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    const failures = started.flatMap((outcome) => outcome.failures);
    const broken = outcomes.find((outcome) => outcome.status === 'rejected');
    if (broken === undefined && failures.length === 0) {
      return new Generation(
        id,
        servables,
        started.map(({ engine }) => engine),
        settings,
        deps,
      );
    }
    for (const { engine } of started) {
      engine.kill();
      await engine.exited;
    }
    if (failures.length > 0) {
      return failures;
    }
    throw broken?.reason;
  }

  has(id: ServableId): boolean {
    return this.servables.some((servable) => servable.id === id);
  }

  /**
   * Runs a job on the next free engine, first come first served.
   * @throws ServiceError resource-exhausted QUEUE_FULL with a retry delay; unavailable ENGINE_CRASHED, or SHUTTING_DOWN once
   * closed; the signal's reason when aborted; what the engine throws.
   */
  predict(job: EngineJob): Promise<EngineAnswer> {
    return new Promise((resolve, reject) => {
      const gone = [job.signal, this.#closing.signal].find(({ aborted }) => aborted);
      if (gone !== undefined) {
        reject(abortError(gone));
        return;
      }
      // What goes straight to a free engine never waits, so it never counts against the queue.
      const hasFreeSeat = this.#waiting.length === 0 && this.#freeSeat() !== undefined;
      if (!hasFreeSeat && this.#waiting.length >= this.#settings.maxWaiting) {
        reject(this.#queueFull());
        return;
      }
      const leave = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
        reject(abortError(job.signal));
      };
      const waiting: Waiting = { job, resolve, reject, leave };
      job.signal.addEventListener('abort', leave, { once: true });
      this.#waiting.push(waiting);
      this.#dispatch();
    });
  }

  engines(): EngineReport[] {
    return this.#seats.map(({ engine, restarts }) => ({ pid: engine?.pid ?? 0, isReady: engine !== undefined, restarts }));
  }

  /** Ends the engines and waits until the processes are gone. To be called once nothing runs here any more. Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort(new ServiceError('unavailable', 'SHUTTING_DOWN', 'the engines are shutting down'));
    for (const { job, reject, leave } of this.#waiting.splice(0)) {
      job.signal.removeEventListener('abort', leave);
      reject(abortError(this.#closing.signal));
    }
    for (const { engine } of this.#seats) {
      engine?.kill();
    }
    await Promise.all(this.#seats.map(({ supervised }) => supervised));
  }

  #freeSeat(): Seat | undefined {
    return this.#seats.find((seat) => seat.engine !== undefined && !seat.isBusy);
  }

  #dispatch(): void {
    for (;;) {
      const seat = this.#freeSeat();
      const next = seat && this.#waiting.shift();
      if (seat?.engine === undefined || next === undefined) {
        return;
      }
      next.job.signal.removeEventListener('abort', next.leave);
      void this.#runOn(seat, seat.engine, next);
    }
  }

  async #runOn(seat: Seat, engine: EngineProcess, { job, resolve, reject }: Waiting): Promise<void> {
    seat.isBusy = true;
    const started = performance.now();
    try {
      resolve(await engine.run(job, this.#settings.cancelGraceMs));
      this.#meanMs += SMOOTHING * (performance.now() - started - this.#meanMs);
      seat.backoff.reset();
    } catch (error) {
      reject(error);
    } finally {
      seat.isBusy = false;
      this.#dispatch();
    }
  }

  /** Puts a new engine in the seat whenever the one there ends, until the generation is closed. Never rejects. */
  async #supervise(seat: Seat): Promise<void> {
    const { signal } = this.#closing;
    while (seat.engine !== undefined) {
      const { pid, exited } = seat.engine;
      const how = await exited;
      seat.engine = undefined;
      if (!signal.aborted) {
        this.#deps.onEvent({ kind: 'engine-ended', generation: this.id, pid, how });
        await this.#restart(seat);
      }
    }
  }

  async #restart(seat: Seat): Promise<void> {
    const { signal } = this.#closing;
    while (!signal.aborted) {
      try {
        await seat.backoff.wait(signal);
        const engine = await this.#startAnother(signal);
        seat.engine = engine;
        seat.restarts += 1;
        this.#deps.onEvent({ kind: 'engine-restarted', generation: this.id, pid: engine.pid });
        this.#dispatch();
        return;
      } catch (error) {
        if (!signal.aborted) {
          this.#deps.onEvent({ kind: 'engine-restart-failed', generation: this.id, error });
        }
      }
    }
  }

  async #startAnother(signal: AbortSignal): Promise<EngineProcess> {
    const { engine, failures } = await EngineProcess.start(this.#settings.modulePath, this.servables, this.#settings, signal);
    const [failure] = failures;
    if (failure !== undefined || signal.aborted) {
      engine.kill();
      await engine.exited;
      throw failure === undefined ? abortError(signal) : fromWireError(failure.error);
    }
    return engine;
  }

  #queueFull(): ServiceError {
    const { maxWaiting, engines } = this.#settings;
    // The caller comes after those that wait; where none may wait, after those that run.
    const retryDelayMs = Math.ceil((this.#meanMs * (maxWaiting + 1)) / engines);
    return new ServiceError(
      'resource-exhausted',
      'QUEUE_FULL',
      `${maxWaiting} images are waiting already, the limit; try again in ${retryDelayMs} ms`,
      {
        retryDelayMs,
      },
    );
  }
}
