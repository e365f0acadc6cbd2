/** What the load process is asked to do. */
export type LoadOrder =
  | {
      /** This many callers, each sending its next image when the last one is answered. */
      readonly kind: 'closed';
      readonly callers: number;
      readonly durationMs: number;
    }
  | {
      /** Images at a fixed rate, whether the server keeps up or not. */
      readonly kind: 'open';
      readonly perSecond: number;
      readonly durationMs: number;
    };

/** What it saw. All calls made within the order's time are waited for. */
export interface LoadReport {
  /** One for each call, in order of their ends. */
  readonly calls: readonly LoadCall[];
  /** From the first call to the last answer. */
  readonly elapsedMs: number;
  /** Processor time of the load process itself, which shares the machine with the server. */
  readonly cpuMs: number;
}

export interface LoadCall {
  /** Milliseconds of this machine's steady clock (`performance.timeOrigin + performance.now()`). */
  readonly startedMs: number;
  readonly tookMs: number;
  /** The manifest digest that answered; undefined when the call failed. */
  readonly digest: string | undefined;
  /** The error's reason; undefined when the call was answered. */
  readonly reason: string | undefined;
}

export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}
