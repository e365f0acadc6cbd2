/** What happens to the engines of a generation, for the log. */
export type GenerationEvent =
  | { readonly kind: 'engine-ended'; readonly generation: number; readonly pid: number; readonly how: string }
  /** Its engine ended so many times without a good run between; the next start waits this long at most. */
  | { readonly kind: 'engine-backs-off'; readonly generation: number; readonly crashes: number; readonly upToMs: number }
  | {
      readonly kind: 'engine-restart-failed';
      readonly generation: number;
      readonly error: unknown;
      /** Of this start, with this one. */
      readonly failures: number;
    }
  | { readonly kind: 'engine-restarted'; readonly generation: number; readonly pid: number };

/** Told once in the life of a loader: engines cannot load at a lower priority here, and do so at the server's own. */
export interface LoadPriorityRefused {
  readonly kind: 'load-priority-refused';
  readonly error: unknown;
}
