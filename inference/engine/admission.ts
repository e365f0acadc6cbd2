import { ServiceError } from '../../proto/wire/errors.ts';
import { RunAverage } from './run-average.ts';

export interface AdmissionLimits {
  /** Images that may wait for an engine; one more is refused. */
  readonly maxWaiting: number;
  /** Bytes of encoded images that may wait. */
  readonly maxWaitingBytes: number;
}

/** One that would have to wait. */
export interface Applicant {
  readonly sizeBytes: number;
  /** Those served before it. */
  readonly ahead: number;
  /** Engines that serve the line. */
  readonly engines: number;
  /** When its caller stops waiting, in milliseconds of the epoch, if it said so. */
  readonly deadlineMs: number | undefined;
}

/** That of a micrograph of 2.3 million pixels with a light model. */
const FIRST_GUESS_MS = 100;

/**
 * Decides who may wait, by what already waits and by the measured time of a run. One for all generations of a server, and one for
 * light and for heavy models each, whose times differ a hundredfold: while an old one drains, both wait in the same memory and run at
 * the same rate. Refusing costs no engine time, and neither does waiting.
 */
export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #firstGuessMs: number;
  #waiting = 0;
  #waitingBytes = 0;
  readonly #runs = new RunAverage();

  /** `firstGuessMs`: what a run is taken to last before the first one was measured. */
  constructor(limits: AdmissionLimits, firstGuessMs = FIRST_GUESS_MS) {
    this.#limits = limits;
    this.#firstGuessMs = firstGuessMs;
  }

  joined(sizeBytes: number): void {
    this.#waiting += 1;
    this.#waitingBytes += sizeBytes;
  }

  left(sizeBytes: number): void {
    this.#waiting -= 1;
    this.#waitingBytes -= sizeBytes;
  }

  /** A run ended well after this long. */
  measured(durationMs: number): void {
    this.#runs.add(durationMs);
  }

  /** Why nobody may wait, whatever an image's size: QUEUE_FULL; undefined while somebody may. The image need not be there yet. */
  fullness(engines: number): ServiceError | undefined {
    // With a limit of 0 nobody waits: then only one that would have to is refused.
    return this.#waiting > 0 && this.#waiting >= this.#limits.maxWaiting ? this.#full(engines) : undefined;
  }

  /**
   * Why this one may not wait: resource-exhausted QUEUE_FULL or DEADLINE_UNREACHABLE, each with a retry delay; undefined when it
   * may. Before anything was measured no deadline is judged.
   */
  refusal({ sizeBytes, ahead, engines, deadlineMs }: Applicant, nowMs: number): ServiceError | undefined {
    const { maxWaiting, maxWaitingBytes } = this.#limits;
    const runMs = this.#runs.meanMs ?? this.#firstGuessMs;
    if (this.#waiting >= maxWaiting || this.#waitingBytes + sizeBytes > maxWaitingBytes) {
      return this.#full(engines);
    }
    const waitMs = (runMs * (ahead + 1)) / engines;
    const lateMs = deadlineMs === undefined || this.#runs.meanMs === undefined ? 0 : nowMs + waitMs + runMs - deadlineMs;
    return lateMs > 0 ? unreachable(waitMs + runMs, lateMs) : undefined;
  }

  /** Why one that waited is not worth an engine any more: a run begun now would, by the measured time, end too late. */
  overdue(deadlineMs: number | undefined, nowMs: number): ServiceError | undefined {
    const runMs = this.#runs.meanMs;
    const lateMs = deadlineMs === undefined || runMs === undefined ? 0 : nowMs + runMs - deadlineMs;
    return runMs !== undefined && lateMs > 0 ? unreachable(runMs, lateMs) : undefined;
  }

  #full(engines: number): ServiceError {
    const { maxWaiting, maxWaitingBytes } = this.#limits;
    // The caller comes after those that wait; where none may wait, after those that run.
    const retryDelayMs = Math.ceil(((this.#runs.meanMs ?? this.#firstGuessMs) * (this.#waiting + 1)) / engines);
    return new ServiceError(
      'resource-exhausted',
      'QUEUE_FULL',
      `${this.#waiting} images of ${this.#waitingBytes} bytes are waiting already, the limits are ${maxWaiting} and ${maxWaitingBytes}; try again in ${retryDelayMs} ms`,
      { retryDelayMs },
    );
  }
}

function unreachable(neededMs: number, lateMs: number): ServiceError {
  const retryDelayMs = Math.ceil(lateMs);
  return new ServiceError(
    'resource-exhausted',
    'DEADLINE_UNREACHABLE',
    `an answer takes ${Math.ceil(neededMs)} ms at the present rate, ${retryDelayMs} ms longer than the deadline leaves`,
    { retryDelayMs },
  );
}
