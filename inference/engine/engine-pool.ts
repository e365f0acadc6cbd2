import { abortError, ServiceError } from '../../proto/wire/errors.ts';
import type { ServableSpec } from '../rollout/servable.ts';
import type { Admission } from './admission.ts';
import { type EngineJob, EngineProcess, type RunLimits, type StartLimits } from './engine-process.ts';
import type { GenerationEvent } from './generation-event.ts';
import { type HeavyDeps, HeavyRuns } from './heavy-runs.ts';
import { JobLine, type PendingJob } from './job-line.ts';
import type { KeptMemory } from './kept-memory.ts';
import { type EngineAnswer, fromWireError } from './protocol.ts';
import { Seat } from './seat.ts';

/** `loadTimeoutMs`: an engine that has not loaded everything by then hangs: it is killed, and its load has failed. */
export interface PoolSettings extends StartLimits, RunLimits {
  /** Engine processes; each works on one image at a time. */
  readonly engines: number;
  readonly modulePath: string;
}

export interface PoolDeps {
  /** For the log. */
  readonly generation: number;
  readonly onEvent: (event: GenerationEvent) => void;
  /** Of all pools of this kind in the server. */
  readonly admission: Admission;
  /** Of engines that hold a heavy model. */
  readonly heavy?: HeavyDeps;
}

export interface EngineReport {
  readonly pid: number;
  readonly isReady: boolean;
  readonly restarts: number;
  /** Label of the heavy servable that it holds. */
  readonly heavyVersion: string | undefined;
}

/** Engines that hold the same servables, and the line of jobs in front of them. */
export class EnginePool {
  readonly #servables: readonly ServableSpec[];
  readonly #settings: PoolSettings;
  readonly #seats: readonly Seat<EngineProcess>[];
  readonly #line: JobLine;
  readonly #closing = new AbortController();
  readonly #onSpawned: ((pid: number) => void) | undefined;
  readonly #heavy: HeavyRuns | undefined;

  /** Takes over engines that were started with `servables`. */
  constructor(
    servables: readonly ServableSpec[],
    engines: readonly EngineProcess[],
    settings: PoolSettings,
    { generation, admission, onEvent, heavy }: PoolDeps,
  ) {
    this.#servables = servables;
    this.#settings = settings;
    this.#line = new JobLine(admission);
    this.#onSpawned = heavy?.onSpawned;
    const deps = {
      generation,
      startAnother: (signal: AbortSignal) => this.#startAnother(signal),
      onEvent,
      onRefilled: () => this.#dispatch(),
    };
    this.#seats = engines.map((engine) => new Seat(engine, deps, this.#closing.signal));
    this.#heavy = heavy && new HeavyRuns(heavy, this.#seats, () => this.#dispatch());
  }

  /**
   * Runs a job on a free engine, or has it wait for one.
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
      this.#line.join({ job, resolve, reject });
      this.#dispatch();
    });
  }

  /** Why any image would be refused now: resource-exhausted QUEUE_FULL with a retry delay; undefined where one may be taken. */
  fullness(): ServiceError | undefined {
    return this.#hasRoomAtOnce() ? undefined : this.#line.fullness(this.#serving());
  }

  engines(): EngineReport[] {
    const heavyVersion = this.#heavy && this.#servables[0]?.label;
    return this.#seats.map(({ engine, restarts }) => ({
      pid: engine?.pid ?? 0,
      isReady: engine !== undefined,
      restarts,
      heavyVersion,
    }));
  }

  /** What heavy engines hold. */
  get kept(): KeptMemory<EngineProcess> | undefined {
    return this.#heavy?.kept;
  }

  /** No engine is left, and what comes in their place ends again and again: nothing is answered until one stays. */
  get isFailing(): boolean {
    return this.#seats.every(({ isFailing }) => isFailing);
  }

  /** Ends the engines and waits until the processes are gone. To be called once nothing runs here any more. Idempotent. */
  async close(): Promise<void> {
    this.#heavy?.close();
    this.#closing.abort(new ServiceError('unavailable', 'SHUTTING_DOWN', 'the engines are shutting down'));
    this.#line.rejectAll(abortError(this.#closing.signal));
    for (const { engine } of this.#seats) {
      engine?.kill();
    }
    await Promise.all(this.#seats.map(({ supervised }) => supervised));
  }

  /** What goes straight to a free engine never waits, so nothing speaks against it: not even a rate measured on larger images. */
  #refusal(job: EngineJob): ServiceError | undefined {
    return this.#hasRoomAtOnce() ? undefined : this.#line.refusal(job, this.#serving());
  }

  #hasRoomAtOnce(): boolean {
    return this.#line.size === 0 && this.#freeSeat() !== undefined;
  }

  #serving(): number {
    return Math.max(1, this.#seats.filter(({ engine }) => engine !== undefined).length);
  }

  #freeSeat(): Seat<EngineProcess> | undefined {
    if (this.#heavy?.isTurn === false) {
      return undefined;
    }
    return this.#seats.find((seat) => seat.engine !== undefined && !seat.isBusy && !seat.engine.isEnding);
  }

  #dispatch(): void {
    for (;;) {
      const seat = this.#freeSeat();
      const next = seat && this.#line.next();
      if (seat?.engine === undefined || next === undefined) {
        return;
      }
      void this.#runOn(seat, seat.engine, next);
    }
  }

  async #runOn(seat: Seat<EngineProcess>, engine: EngineProcess, { job, resolve, reject }: PendingJob): Promise<void> {
    seat.isBusy = true;
    const started = performance.now();
    try {
      const limits = { ...this.#settings, ...this.#heavy?.begins(engine) };
      const answer = await engine.run({ ...job, onDecoded: (image) => this.#heavy?.decoded(engine, image) }, limits);
      resolve(answer);
      const durationMs = performance.now() - started;
      this.#line.measured(durationMs);
      this.#heavy?.measured(durationMs);
      seat.proved();
    } catch (error) {
      reject(error);
    } finally {
      seat.isBusy = false;
      this.#heavy?.ended(engine);
      this.#dispatch();
    }
  }

  /** At full priority even beside others: it brings back what was lost. */
  async #startAnother(signal: AbortSignal): Promise<EngineProcess> {
    const { engine, failures } = await EngineProcess.start(
      this.#settings.modulePath,
      this.#servables,
      this.#settings,
      signal,
      this.#onSpawned,
    );
    const [failure] = failures;
    if (failure !== undefined || signal.aborted) {
      engine.kill();
      await engine.exited;
      throw failure === undefined ? abortError(signal) : fromWireError(failure.error);
    }
    return engine;
  }
}
