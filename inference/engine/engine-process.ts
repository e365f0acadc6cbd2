import { processEnvironment } from '../../infra/process/env.ts';
import { type ChildProcess, fork } from 'node:child_process';
import { Writable } from 'node:stream';
import { abortError, ServiceError, throwIfAborted } from '../../proto/wire/errors.ts';
import type { PredictSettings, Stage } from '../predict/predict.ts';
import { IMAGE_PIPE_FD, PIPED_FROM_BYTES } from './image-pipe.ts';
import {
  type EngineAnswer,
  type EngineLimits,
  type FromEngine,
  fromWireError,
  type LoadFailure,
  type ToEngine,
} from './protocol.ts';
import type { ServableId, ServableSpec } from '../rollout/servable.ts';
import type { Priority } from './waiting-line.ts';

export interface EngineJob {
  readonly image: Uint8Array;
  readonly classifier: ServableId;
  readonly settings: PredictSettings;
  readonly onStage: (stage: Stage) => void;
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
  readonly resolve: (answer: EngineAnswer) => void;
  readonly reject: (error: unknown) => void;
  readonly cancel: () => void;
  /** Runs from the cancel on. */
  grace: NodeJS.Timeout | undefined;
  /** Runs from the start on. */
  watchdog: NodeJS.Timeout | undefined;
  isHung: boolean;
}

export interface RunLimits {
  /** A run that takes longer hangs: its engine is killed. */
  readonly runLimitMs: number;
  /** How long an engine whose job was cancelled may go on before it is killed. Unset: 10 s, which no stage takes. */
  readonly cancelGraceMs?: number;
}

const CANCEL_GRACE_MS = 10_000;

/** One engine as its supervisor sees it: a child process that runs one job at a time. */
export class EngineProcess {
  /** Resolves with what ended it, whatever that was; never rejects. */
  readonly exited: Promise<string>;
  readonly pid: number;
  readonly #child: ChildProcess;
  #running: Running | undefined;
  #lastId = 0;
  #onReady: ((failures: readonly LoadFailure[]) => void) | undefined;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.pid = child.pid ?? 0;
    this.exited = new Promise((resolve) => {
      // `on`: a second error, such as a kill that failed, must find a listener too.
      child.on('error', (error) => resolve(`could not run: ${error.message}`));
      child.once('exit', (code, signal) => resolve(signal === null ? `exit code ${String(code)}` : `signal ${signal}`));
    });
    child.on('message', (message: FromEngine) => this.#receive(message));
    // Mostly an engine that ended in the middle of an image, which `exited` tells of; one that lives on could get no image any more.
    child.stdio[IMAGE_PIPE_FD]?.on('error', () => this.kill());
    void this.exited.then((how) => {
      this.#settle(({ job, reject, isHung }) =>
        reject(job.signal.aborted ? abortError(job.signal) : isHung ? this.#hung() : this.#crashed(how)),
      );
    });
  }

  /**
   * Starts an engine and has it load `servables`. `onSpawned` hears of the process before it loads anything.
   * @throws ServiceError unavailable ENGINE_CRASHED when it ends before it is ready; failed-precondition LOAD_FAILED when it is not
   * ready in time, the signal's reason when aborted (it is killed then).
   */
  static async start(
    modulePath: string,
    servables: readonly ServableSpec[],
    limits: EngineLimits & { readonly loadTimeoutMs: number },
    signal: AbortSignal,
    onSpawned: (pid: number) => void = () => undefined,
  ): Promise<{ readonly engine: EngineProcess; readonly failures: readonly LoadFailure[] }> {
    throwIfAborted(signal);
    const child = fork(modulePath, [String(process.pid)], {
      serialization: 'advanced',
      // The last one is the image pipe.
      stdio: ['ignore', 'ignore', 'inherit', 'ipc', 'pipe'],
      env: engineEnvironment(),
    });
    const engine = new EngineProcess(child);
    if (child.pid !== undefined) {
      onSpawned(child.pid);
    }
    const kill = (): void => engine.kill();
    signal.addEventListener('abort', kill, { once: true });
    const { threads, maxPixels, loadTimeoutMs } = limits;
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      engine.kill();
    }, loadTimeoutMs);
    try {
      const ready = new Promise<readonly LoadFailure[]>((resolve) => {
        engine.#onReady = resolve;
      });
      engine.#send({ kind: 'load', servables, limits: { threads, maxPixels } });
      const ended = engine.exited.then((how) => {
        throwIfAborted(signal);
        if (isLate) {
          const what = `an engine had not loaded ${labels(servables)} after ${loadTimeoutMs} ms`;
          throw new ServiceError('failed-precondition', 'LOAD_FAILED', what);
        }
        throw new ServiceError('unavailable', 'ENGINE_CRASHED', `an engine ended while it loaded ${labels(servables)}: ${how}`);
      });
      return { engine, failures: await Promise.race([ready, ended]) };
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', kill);
    }
  }

  /**
   * To be called only while no other run is under way.
   * @throws ServiceError from the engine; unavailable ENGINE_CRASHED, or ENGINE_HUNG when it took longer than its limit.
   */
  run(job: EngineJob, { runLimitMs, cancelGraceMs = CANCEL_GRACE_MS }: RunLimits): Promise<EngineAnswer> {
    if (this.#running !== undefined) {
      throw new Error(`engine ${this.pid} is busy`);
    }
    return new Promise((resolve, reject) => {
      this.#lastId += 1;
      const id = this.#lastId;
      const cancel = (): void => {
        this.#send({ kind: 'cancel', id });
        running.grace = setTimeout(() => this.kill(), cancelGraceMs);
      };
      const running: Running = { id, job, resolve, reject, cancel, grace: undefined, watchdog: undefined, isHung: false };
      this.#running = running;
      running.watchdog = setTimeout(() => {
        running.isHung = true;
        this.kill();
      }, runLimitMs);
      job.signal.addEventListener('abort', cancel, { once: true });
      const image = this.#pipe(job.image);
      this.#send({ kind: 'predict', id, image, classifier: job.classifier, settings: job.settings });
      if (job.signal.aborted) {
        cancel();
      }
    });
  }

  /** Ends the process at once; a run under way fails with ENGINE_CRASHED. */
  kill(): void {
    this.#child.kill('SIGKILL');
  }

  #crashed(how: string): ServiceError {
    const message = `the engine (pid ${this.pid}) ended while it worked on this image: ${how}`;
    return new ServiceError('unavailable', 'ENGINE_CRASHED', message, { retryDelayMs: 0 });
  }

  /** Without a retry delay: the image may well be what hangs, and is not to be tried again at once. */
  #hung(): ServiceError {
    const message = `the engine (pid ${this.pid}) took longer for this image than any may, and was ended`;
    return new ServiceError('unavailable', 'ENGINE_HUNG', message);
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

function engineEnvironment(): NodeJS.ProcessEnv {
  return {
    // One heap for native memory instead of one a thread (glibc). An engine works on one image at a time, and what the heaps of
    // several threads keep for the next large one adds up: after 8000 images of all sizes 530 MiB were resident, with one heap 165.
    MALLOC_ARENA_MAX: '1',
    ...processEnvironment(),
    // ONNX Runtime's Linux build would otherwise open its telemetry channel and leave files in the temporary folder.
    ORT_DISABLE_TELEMETRY: '1',
  };
}

function labels(servables: readonly ServableSpec[]): string {
  return servables.map(({ label }) => label).join(', ') || 'nothing';
}
