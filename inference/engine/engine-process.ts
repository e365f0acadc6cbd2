import { type ChildProcess, fork } from 'node:child_process';
import { Writable } from 'node:stream';
import { processEnvironment } from '../../infra/process/env.ts';
import { abortError, throwIfAborted } from '../../proto/wire/errors.ts';
import type { PredictSettings } from '../predict/predict.ts';
import type { Stage } from '../predict/stages.ts';
import type { ServableSpec } from '../rollout/servable.ts';
import { describeEnd, endedWhileLoading, endedWhileRunning, type KillReason } from './engine-end.ts';
import { engineEnvironment } from './engine-environment.ts';
import type { ImageBound } from './heavy-model.ts';
import { IMAGE_PIPE_FD, PIPED_FROM_BYTES } from './image-pipe.ts';
import { watchMemory } from './memory-watch.ts';
import {
  type EngineAnswer,
  type EngineLimits,
  type FromEngine,
  fromWireError,
  type JobModels,
  type LoadFailure,
  type ToEngine,
} from './protocol.ts';
import type { Priority } from './waiting-line.ts';

export interface EngineJob {
  readonly image: Uint8Array;
  readonly models: JobModels;
  /** Those of `models` that the engine may have to load first. */
  readonly borrowed?: readonly ServableSpec[] | undefined;
  readonly settings: PredictSettings;
  readonly onStage: (stage: Stage) => void;
  /** Where the run has a bound: the image's size, once it is known. */
  readonly onDecoded?: ((image: { readonly width: number; readonly height: number }) => void) | undefined;
  /** Among those that wait for an engine; unset is normal. */
  readonly priority?: Priority | undefined;
  /** When the caller stops waiting, in milliseconds of the epoch, if it said so. */
  readonly deadlineMs?: number | undefined;
  /**
   * Aborting tells the engine to stop between two stages; the run then ends with the signal's reason. An engine that does not
   * stop is killed.
   */
  readonly signal: AbortSignal;
}

interface Running {
  readonly id: number;
  readonly job: EngineJob;
  readonly runLimitMs: number;
  readonly resolve: (answer: EngineAnswer) => void;
  readonly reject: (error: unknown) => void;
  readonly cancel: () => void;
  /** Runs from the cancel on. */
  grace: NodeJS.Timeout | undefined;
  /** Runs from the start on. */
  watchdog: NodeJS.Timeout | undefined;
}

export interface RunLimits {
  /** A run that takes longer hangs: its engine is killed. */
  readonly runLimitMs: number;
  /**
   * How long an engine may go on whose job was cancelled after `elapsedMs`, before another is worth more. Unset: 10 s, which no
   * stage of a light model takes; one that takes longer is broken.
   */
  readonly cancelGraceMs?: (elapsedMs: number) => number;
  /** Beside StartLimits' `maxPixels`. */
  readonly bound?: ImageBound | undefined;
}

export interface StartLimits extends EngineLimits {
  readonly loadTimeoutMs: number;
  /** An engine that holds more is killed; 0 is no limit. */
  readonly memoryLimitBytes: number;
}

const HEARD_WITHIN_MS = 10_000;

/** One engine as its supervisor sees it: a child process that runs one job at a time. */
export class EngineProcess {
  /** Resolves with what ended it, whatever that was; never rejects. */
  readonly exited: Promise<string>;
  readonly pid: number;
  readonly #child: ChildProcess;
  #running: Running | undefined;
  #killedFor: KillReason | undefined;
  #memoryLimitBytes = 0;
  #isKilled = false;
  #lastId = 0;
  #onReady: ((failures: readonly LoadFailure[]) => void) | undefined;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.pid = child.pid ?? 0;
    this.exited = new Promise((resolve) => {
      // `on`: a second error, such as a kill that failed, must find a listener too.
      child.on('error', (error) => resolve(`could not run: ${error.message}`));
      child.once('exit', (code, signal) => resolve(describeEnd(code, signal, this.#killedFor)));
    });
    child.on('message', (message: FromEngine) => this.#receive(message));
    // Mostly an engine that ended in the middle of an image, which `exited` tells of; one that lives on could get no image any more.
    child.stdio[IMAGE_PIPE_FD]?.on('error', () => this.kill());
    void this.exited.then((how) => {
      this.#settle(({ job, reject, runLimitMs }) => {
        const limits = { runLimitMs, memoryLimitBytes: this.#memoryLimitBytes };
        reject(job.signal.aborted ? abortError(job.signal) : endedWhileRunning(this.pid, this.#killedFor, how, limits));
      });
    });
  }

  /**
   * Starts an engine and has it load `servables`. `onSpawned` hears of the process before it loads anything.
   * @throws ServiceError unavailable ENGINE_CRASHED when it ends before it is ready; failed-precondition LOAD_FAILED when it is not
   * ready in time or takes too much memory, the signal's reason when aborted (it is killed then).
   */
  static async start(
    modulePath: string,
    servables: readonly ServableSpec[],
    limits: StartLimits,
    signal: AbortSignal,
    onSpawned: (pid: number) => void = () => undefined,
  ): Promise<{ readonly engine: EngineProcess; readonly failures: readonly LoadFailure[] }> {
    throwIfAborted(signal);
    const child = fork(modulePath, [String(process.pid)], {
      serialization: 'advanced',
      // The last one is the image pipe.
      stdio: ['ignore', 'ignore', 'inherit', 'ipc', 'pipe'],
      env: engineEnvironment(processEnvironment()),
    });
    const engine = new EngineProcess(child);
    const { threads, maxPixels, warmUpPixels, loadTimeoutMs, memoryLimitBytes } = limits;
    if (child.pid !== undefined) {
      onSpawned(child.pid);
      engine.#limitMemory(memoryLimitBytes);
    }
    const kill = (): void => engine.kill();
    signal.addEventListener('abort', kill, { once: true });
    const timer = setTimeout(() => engine.#killFor('late'), loadTimeoutMs);
    try {
      const ready = new Promise<readonly LoadFailure[]>((resolve) => {
        engine.#onReady = resolve;
      });
      engine.#send({
        kind: 'load',
        servables,
        limits: { threads, maxPixels, ...(warmUpPixels !== undefined && { warmUpPixels }) },
      });
      const ended = engine.exited.then((how) => {
        throwIfAborted(signal);
        throw endedWhileLoading(servables, engine.#killedFor, how);
      });
      return { engine, failures: await Promise.race([ready, ended]) };
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', kill);
    }
  }

  /**
   * To be called only while no other run is under way.
   * @throws ServiceError from the engine; unavailable ENGINE_CRASHED, or ENGINE_HUNG or ENGINE_OUT_OF_MEMORY when it went beyond
   * its limits.
   */
  run(job: EngineJob, { runLimitMs, cancelGraceMs, bound }: RunLimits): Promise<EngineAnswer> {
    if (this.#running !== undefined) {
      throw new Error(`engine ${this.pid} is busy`);
    }
    return new Promise((resolve, reject) => {
      this.#lastId += 1;
      const id = this.#lastId;
      const started = performance.now();
      const cancel = (): void => {
        this.#send({ kind: 'cancel', id });
        const graceMs = cancelGraceMs?.(performance.now() - started) ?? HEARD_WITHIN_MS;
        running.grace = setTimeout(() => this.#killFor(cancelGraceMs === undefined ? 'deaf' : 'given up'), graceMs);
      };
      const running: Running = { id, job, runLimitMs, resolve, reject, cancel, grace: undefined, watchdog: undefined };
      this.#running = running;
      running.watchdog = setTimeout(() => this.#killFor('hung'), runLimitMs);
      job.signal.addEventListener('abort', cancel, { once: true });
      const image = this.#pipe(job.image);
      const { models, borrowed = [], settings } = job;
      this.#send({ kind: 'predict', id, image, models, borrowed, settings, bound });
      if (job.signal.aborted) {
        cancel();
      }
    });
  }

  /** Killed by this side, though the process may not be gone yet: no run is to be given to it. */
  get isEnding(): boolean {
    return this.#isKilled;
  }

  /** Ended because another in its place is worth more, which says nothing against it. */
  get isReplaced(): boolean {
    return this.#killedFor === 'renewed' || this.#killedFor === 'given up';
  }

  /** Ends the process at once; a run under way fails with ENGINE_CRASHED. */
  kill(): void {
    this.#isKilled = true;
    this.#child.kill('SIGKILL');
  }

  /** Ends one that works on nothing, so that its memory comes back. */
  renew(): void {
    this.#killFor('renewed');
  }

  /** The first reason is the one that ended it: what is found on a process that is going says nothing more. */
  #killFor(reason: KillReason): void {
    this.#killedFor ??= reason;
    this.kill();
  }

  #limitMemory(limitBytes: number): void {
    this.#memoryLimitBytes = limitBytes;
    if (limitBytes > 0) {
      const stop = watchMemory(this.pid, limitBytes, () => this.#killFor('too large'));
      void this.exited.then(stop);
    }
  }

  /** Sends a large image ahead of its message; gives what the message says of it. */
  #pipe(image: Uint8Array): Uint8Array | number {
    const pipe = this.#child.stdio[IMAGE_PIPE_FD];
    if (image.byteLength < PIPED_FROM_BYTES || !(pipe instanceof Writable)) {
      return image;
    }
    pipe.write(image);
    return image.byteLength;
  }

  #receive(message: FromEngine): void {
    if (message.kind === 'ready') {
      this.#onReady?.(message.failures);
      return;
    }
    if (this.#running?.id !== message.id) {
      return;
    }
    switch (message.kind) {
      case 'stage':
        this.#running.job.onStage(message.stage);
        break;
      case 'decoded':
        this.#running.job.onDecoded?.(message);
        break;
      case 'done':
        this.#settle((running) => running.resolve(message.answer));
        break;
      case 'failed':
        this.#settle(({ job, reject }) => reject(job.signal.aborted ? abortError(job.signal) : fromWireError(message.error)));
        break;
    }
  }

  #settle(how: (running: Running) => void): void {
    const running = this.#running;
    if (running !== undefined) {
      this.#running = undefined;
      running.job.signal.removeEventListener('abort', running.cancel);
      clearTimeout(running.grace);
      clearTimeout(running.watchdog);
      how(running);
    }
  }

  #send(message: ToEngine): void {
    // A channel that closed meanwhile is no error here: `exited` tells of it.
    this.#child.send(message, () => undefined);
  }
}
