import { abortError, ServiceError, throwIfAborted } from '../../proto/wire/errors.ts';
import type { ServableSpec } from '../rollout/servable.ts';
import type { Admission } from './admission.ts';
import type { CancelledRun } from './cancel-grace.ts';
import { type EngineJob, EngineProcess, type RunLimits, type StartLimits } from './engine-process.ts';
import type { GenerationEvent } from './generation-event.ts';
import type { ImageBound } from './heavy-model.ts';
import { type ImageSize, KeptMemory, type MemoryShare } from './kept-memory.ts';
import { type EngineAnswer, fromWireError } from './protocol.ts';
import { RunAverage } from './run-average.ts';
import type { RunGate } from './run-gate.ts';
import { Seat } from './seat.ts';
import { WaitingLine } from './waiting-line.ts';

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

export interface HeavyDeps {
  /** Of all heavy pools. */
  readonly gate: RunGate;
  /** What it took to start an engine and load the model. */
  readonly reloadMs: number;
  /** How long a cancelled run may go on; see cancelGraceMs. */
  readonly graceMs: (run: CancelledRun) => number;
  /** Called for each engine that takes the place of another. */
  readonly onSpawned: (pid: number) => void;
  /** The largest image that the memory has room for, asked before each run. */
  readonly bound: () => ImageBound | undefined;
  readonly memory: MemoryShare;
}

export interface EngineReport {
  readonly pid: number;
  readonly isReady: boolean;
  readonly restarts: number;
  /** Label of the heavy servable that it holds. */
  readonly heavyVersion: string | undefined;
}

interface Waiting {
  readonly job: EngineJob;
  readonly resolve: (answer: EngineAnswer) => void;
  readonly reject: (error: unknown) => void;
  readonly leave: () => void;
}

/** Engines that hold the same servables, and the line of jobs in front of them. */
export class EnginePool {
  readonly #servables: readonly ServableSpec[];
  readonly #settings: PoolSettings;
  readonly #admission: Admission;
  readonly #seats: readonly Seat<EngineProcess>[];
  readonly #line = new WaitingLine<Waiting>();
  readonly #closing = new AbortController();
  readonly #heavy: HeavyDeps | undefined;
  readonly #kept: KeptMemory<EngineProcess> | undefined;
  #onRunEnded: (() => void)[] = [];
  /** Of these servables: heavy models differ in what a run takes. */
  readonly #runs = new RunAverage();
  #stopListening: (() => void) | undefined;

  /** Takes over engines that were started with `servables`. */
  constructor(
    servables: readonly ServableSpec[],
    engines: readonly EngineProcess[],
    settings: PoolSettings,
    { generation, admission, onEvent, heavy }: PoolDeps,
  ) {
    this.#heavy = heavy;
    this.#kept = heavy && new KeptMemory(heavy.memory);
    this.#stopListening = heavy?.gate.listen(() => this.#dispatch());
    this.#servables = servables;
    this.#settings = settings;
    this.#admission = admission;
    const deps = {
      generation,
      startAnother: (signal: AbortSignal) => this.#startAnother(signal),
      onEvent,
      onRefilled: () => this.#dispatch(),
    };
    this.#seats = engines.map((engine) => new Seat(engine, deps, this.#closing.signal));
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

  /** Why any image would be refused now: resource-exhausted QUEUE_FULL with a retry delay; undefined where one may be taken. */
  fullness(): ServiceError | undefined {
    return this.#hasRoomAtOnce() ? undefined : this.#admission.fullness(this.#serving());
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

  /**
   * Resolves once no engine keeps, or may still take, more than it is allowed now. One that does is ended as soon as it works on
   * nothing, and another takes its place. @throws the signal's reason when aborted, no sooner than the runs end.
   */
  async shrink(signal: AbortSignal): Promise<void> {
    const engines = this.#seats.flatMap(({ engine }) => engine ?? []);
    for (const seat of this.#seats) {
      while (seat.engine !== undefined && this.#kept?.mayOutgrow(seat.engine) === true) {
        await new Promise<void>((resolve) => this.#onRunEnded.push(resolve));
      }
      this.#renewIfLarge(seat);
    }
    await Promise.all(engines.filter(({ isEnding }) => isEnding).map(({ exited }) => exited));
    throwIfAborted(signal);
  }

  /** No engine is left, and what comes in their place ends again and again: nothing is answered until one stays. */
  get isFailing(): boolean {
    return this.#seats.every(({ isFailing }) => isFailing);
  }

  /** Ends the engines and waits until the processes are gone. To be called once nothing runs here any more. Idempotent. */
  async close(): Promise<void> {
    this.#stopListening?.();
    this.#stopListening = undefined;
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
    if (this.#heavy?.gate.isOpen === false) {
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
    this.#heavy?.gate.enter();
    this.#kept?.begins(engine);
    const started = performance.now();
    let image: ImageSize | undefined;
    const onDecoded = (size: ImageSize): void => {
      image = size;
    };
    try {
      const answer = await engine.run({ ...job, onDecoded }, this.#runLimits());
      resolve(answer);
      const durationMs = performance.now() - started;
      this.#admission.measured(durationMs);
      this.#runs.add(durationMs);
      seat.proved();
    } catch (error) {
      if (this.#heavy !== undefined && job.signal.aborted) {
        // Killed for time's sake, if at all: no crash, for which the next start would have to wait.
        seat.proved();
      }
      reject(error);
    } finally {
      this.#kept?.ended(engine, image);
      seat.isBusy = false;
      // Before others hear that the turn is theirs, this line among them.
      this.#renewIfLarge(seat);
      this.#tellRunEnded();
      this.#heavy?.gate.leave();
      this.#dispatch();
    }
  }

  #renewIfLarge({ engine, isBusy }: Seat<EngineProcess>): void {
    if (engine !== undefined && !isBusy && !engine.isEnding && this.#kept?.isTooMuch(engine) === true) {
      engine.renew();
    }
  }

  #tellRunEnded(): void {
    const waiting = this.#onRunEnded;
    this.#onRunEnded = [];
    for (const resolve of waiting) {
      resolve();
    }
  }

  #runLimits(): RunLimits {
    if (this.#heavy === undefined) {
      return this.#settings;
    }
    const { reloadMs, graceMs, bound } = this.#heavy;
    return {
      ...this.#settings,
      cancelGraceMs: (elapsedMs) => graceMs({ elapsedMs, runMs: this.#runs.meanMs, reloadMs }),
      bound: bound(),
    };
  }

  /** At full priority even beside others: it brings back what was lost. */
  async #startAnother(signal: AbortSignal): Promise<EngineProcess> {
    const { engine, failures } = await EngineProcess.start(
      this.#settings.modulePath,
      this.#servables,
      this.#settings,
      signal,
      this.#heavy?.onSpawned,
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
