import { abortError, type ServiceError } from '../../proto/wire/errors.ts';
import type { Admission } from './admission.ts';
import type { EngineJob } from './engine-process.ts';
import type { EngineAnswer } from './protocol.ts';
import { WaitingLine } from './waiting-line.ts';

/** A job and who is to hear what became of it. */
export interface PendingJob {
  readonly job: EngineJob;
  readonly resolve: (answer: EngineAnswer) => void;
  readonly reject: (error: unknown) => void;
}

interface Waiting extends PendingJob {
  readonly leave: () => void;
}

/** Jobs that wait for an engine: the order is WaitingLine's, who may wait is Admission's to say. Who stops waiting leaves. */
export class JobLine {
  readonly #admission: Admission;
  readonly #line = new WaitingLine<Waiting>();

  /** `admission`: of all lines of this kind in the server. */
  constructor(admission: Admission) {
    this.#admission = admission;
  }

  get size(): number {
    return this.#line.size;
  }

  /** Why any image would be refused now, as Admission.fullness. */
  fullness(engines: number): ServiceError | undefined {
    return this.#admission.fullness(engines);
  }

  /** Why this job may not wait, as Admission.refusal. */
  refusal({ image, priority = 'normal', deadlineMs }: EngineJob, engines: number): ServiceError | undefined {
    const applicant = { sizeBytes: image.byteLength, ahead: this.#line.ahead(priority), engines, deadlineMs };
    return this.#admission.refusal(applicant, Date.now());
  }

  join({ job, resolve, reject }: PendingJob): void {
    const leave = (): void => {
      this.#line.leave(waiting);
      this.#left(waiting);
      reject(abortError(job.signal));
    };
    const waiting: Waiting = { job, resolve, reject, leave };
    job.signal.addEventListener('abort', leave, { once: true });
    this.#admission.joined(job.image.byteLength);
    this.#line.join(waiting, job.priority ?? 'normal');
  }

  /** Takes out the one that is worth an engine: none is spent on what will come too late while others wait for it. */
  next(): PendingJob | undefined {
    for (let next = this.#take(); next !== undefined; next = this.#take()) {
      const overdue = this.#line.size > 0 ? this.#admission.overdue(next.job.deadlineMs, Date.now()) : undefined;
      if (overdue === undefined) {
        return next;
      }
      next.reject(overdue);
    }
    return undefined;
  }

  /** A run ended well after this long. */
  measured(durationMs: number): void {
    this.#admission.measured(durationMs);
  }

  /** Nobody waits any more. */
  rejectAll(reason: unknown): void {
    for (let next = this.#take(); next !== undefined; next = this.#take()) {
      next.reject(reason);
    }
  }

  #take(): Waiting | undefined {
    const next = this.#line.next();
    if (next !== undefined) {
      this.#left(next);
    }
    return next;
  }

  #left({ job, leave }: Waiting): void {
    job.signal.removeEventListener('abort', leave);
    this.#admission.left(job.image.byteLength);
  }
}
