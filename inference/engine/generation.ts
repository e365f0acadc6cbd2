import { abortError, ServiceError } from '../../proto/wire/errors.ts';
import type { LoadedSet, ServableId, ServableSpec } from '../rollout/servable.ts';
import type { Admission } from './admission.ts';
import { type EngineJob, EngineProcess, type RunLimits, type StartLimits } from './engine-process.ts';
import type { GenerationEvent } from './generation-event.ts';
import type { LoadPriority } from './load-priority.ts';
import { type EngineAnswer, fromWireError, type LoadFailure } from './protocol.ts';
import { Seat } from './seat.ts';
import { startEngines } from './start-engines.ts';
import { WaitingLine } from './waiting-line.ts';

/** `loadTimeoutMs`: an engine that has not loaded everything by then hangs: it is killed, and its load has failed. */
export interface GenerationSettings extends StartLimits, RunLimits {
  /** Engine processes; each works on one image at a time. */
  readonly engines: number;
  readonly modulePath: string;
}

export interface GenerationDeps {
  readonly onEvent: (event: GenerationEvent) => void;
  /** Of all generations of the server. */
  readonly admission: Admission;
  /**
   * Given where another generation serves meanwhile: the engines then start one after another, at a lower priority, so that
   * at most one core loads while requests run.
   */
  readonly beside?: LoadPriority | undefined;
}

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

/** A set of servables loaded in engine processes of their own. Immutable: another set is another generation. */
export class Generation implements LoadedSet {
  readonly id: number;
  readonly servables: readonly ServableSpec[];
  readonly #settings: GenerationSettings;
  readonly #admission: Admission;
  readonly #seats: readonly Seat<EngineProcess>[];
  readonly #line = new WaitingLine<Waiting>();
  readonly #closing = new AbortController();

  private constructor(
    id: number,
    servables: readonly ServableSpec[],
    engines: readonly EngineProcess[],
    settings: GenerationSettings,
    { admission, onEvent }: GenerationDeps,
  ) {
    this.id = id;
    this.servables = servables;
    this.#settings = settings;
    this.#admission = admission;
    const deps = {
      generation: id,
      startAnother: (signal: AbortSignal) => this.#startAnother(signal),
      onEvent,
      onRefilled: () => this.#dispatch(),
    };
    this.#seats = engines.map((engine) => new Seat(engine, deps, this.#closing.signal));
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
    const outcome = await startEngines(servables, settings, deps.beside, signal);
    return 'failures' in outcome ? outcome.failures : new Generation(id, servables, outcome.engines, settings, deps);
  }

  has(id: ServableId): boolean {
    return this.servables.some((servable) => servable.id === id);
  }

  /**
   * Runs a job on a free engine; the order of those that wait is WaitingLine's, who may wait is Admission's to say.
   * @throws ServiceError resource-exhausted QUEUE_FULL or DEADLINE_UNREACHABLE with a retry delay; unavailable ENGINE_CRASHED,
   * ENGINE_HUNG, ENGINE_OUT_OF_MEMORY, or SHUTTING_DOWN once closed; the signal's reason when aborted; what the engine throws.
   */
  predict(job: EngineJob): Promise<EngineAnswer> {
    return new Promise((resolve, reject) => {
      const gone = [job.signal, this.#closing.signal].find(({ aborted }) => aborted);
      const refusal = gone === undefined ? this.#refusal(job) : abortError(gone);
      if (refusal !== undefined) {
        reject(refusal);
        return;
      }
      const leave = (): void => {
        this.#line.leave(waiting);
        this.#left(waiting);
        reject(abortError(job.signal));
      };
      const waiting: Waiting = { job, resolve, reject, leave };
      job.signal.addEventListener('abort', leave, { once: true });
      this.#admission.joined(job.image.byteLength);
      this.#line.join(waiting, job.priority ?? 'normal');
      this.#dispatch();
    });
  }

  /**
   * Why any image would be refused now: resource-exhausted QUEUE_FULL with a retry delay; undefined where one may be taken. For
   * callers whose image is still on its way.
   */
  fullness(): ServiceError | undefined {
    return this.#hasRoomAtOnce() ? undefined : this.#admission.fullness(this.#serving());
  }

  engines(): EngineReport[] {
    return this.#seats.map(({ engine, restarts }) => ({ pid: engine?.pid ?? 0, isReady: engine !== undefined, restarts }));
  }

  /** No engine is left, and what comes in their place ends again and again: nothing is answered until one stays. */
  get isFailing(): boolean {
    return this.#seats.every(({ isFailing }) => isFailing);
  }

  /** Ends the engines and waits until the processes are gone. To be called once nothing runs here any more. Idempotent. */
  async close(): Promise<void> {
    this.#closing.abort(new ServiceError('unavailable', 'SHUTTING_DOWN', 'the engines are shutting down'));
    for (let waiting = this.#line.next(); waiting !== undefined; waiting = this.#line.next()) {
      this.#left(waiting);
      waiting.reject(abortError(this.#closing.signal));
    }
    for (const { engine } of this.#seats) {
      engine?.kill();
    }
    await Promise.all(this.#seats.map(({ supervised }) => supervised));
  }

  /** What goes straight to a free engine never waits, so nothing speaks against it: not even a rate measured on larger images. */
  #refusal({ image, priority = 'normal', deadlineMs }: EngineJob): ServiceError | undefined {
    if (this.#hasRoomAtOnce()) {
      return undefined;
    }
    const applicant = {
      sizeBytes: image.byteLength,
      ahead: this.#line.ahead(priority),
      engines: this.#serving(),
      deadlineMs,
    };
    return this.#admission.refusal(applicant, Date.now());
  }

  #hasRoomAtOnce(): boolean {
    return this.#line.size === 0 && this.#freeSeat() !== undefined;
  }

  #serving(): number {
    return Math.max(1, this.#seats.filter(({ engine }) => engine !== undefined).length);
  }

  #left({ job, leave }: Waiting): void {
    job.signal.removeEventListener('abort', leave);
    this.#admission.left(job.image.byteLength);
  }

  #freeSeat(): Seat<EngineProcess> | undefined {
    return this.#seats.find((seat) => seat.engine !== undefined && !seat.isBusy && !seat.engine.isEnding);
  }

  #dispatch(): void {
    for (;;) {
      const seat = this.#freeSeat();
      const next = seat && this.#line.next();
      if (seat?.engine === undefined || next === undefined) {
        return;
      }
      this.#left(next);
      // An engine is not spent on what will come too late while others wait for it.
      const overdue = this.#line.size > 0 ? this.#admission.overdue(next.job.deadlineMs, Date.now()) : undefined;
      if (overdue === undefined) {
        void this.#runOn(seat, seat.engine, next);
      } else {
        next.reject(overdue);
      }
    }
  }

  async #runOn(seat: Seat<EngineProcess>, engine: EngineProcess, { job, resolve, reject }: Waiting): Promise<void> {
    seat.isBusy = true;
    const started = performance.now();
    try {
      resolve(await engine.run(job, this.#settings));
      this.#admission.measured(performance.now() - started);
      seat.proved();
    } catch (error) {
      reject(error);
    } finally {
      seat.isBusy = false;
      this.#dispatch();
    }
  }

  /** At full priority even beside others: it brings back what was lost. */
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
}
