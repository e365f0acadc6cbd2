import type { Pace, RetrySettings } from '../../../registry/adapters/aws/retry.ts';

export interface Sent {
  /** Such as `GetItem`. */
  readonly name: string;
  readonly input: Readonly<Record<string, unknown>>;
}

/**
 * Stands in for an SDK client at its `send`. `handle` answers; a test makes trouble before or after that. Everything sent is
 * recorded.
 */
export class FakeClient {
  readonly sent: Sent[] = [];
  /** Throws instead of the request's taking effect. */
  before: (request: Sent, index: number) => void | Promise<void> = () => undefined;
  /** Throws although the request took effect: its answer got lost. */
  after: (request: Sent, index: number) => void = () => undefined;
  readonly #handle: (request: Sent) => unknown;

  constructor(handle: (request: Sent) => unknown) {
    this.#handle = handle;
  }

  /** The names of what was sent, in order. */
  get names(): string[] {
    return this.sent.map(({ name }) => name);
  }

  async send(command: object, options?: { readonly abortSignal?: AbortSignal }): Promise<never> {
    const request = {
      name: command.constructor.name.replace(/Command$/, ''),
      input: (command as { input: Sent['input'] }).input,
    };
    const index = this.sent.push(request) - 1;
    if (options?.abortSignal?.aborted === true) {
      throw awsError('AbortError');
    }
    await this.before(request, index);
    const answer = this.#handle(request);
    this.after(request, index);
    return answer as never;
  }

  destroy(): void {
    // There is no connection.
  }
}

/** An error as the SDK throws it. */
export function awsError(name: string, status = 400, more: object = {}): Error {
  return Object.assign(new Error(`arn:aws:iam::123456789012:role/secret ${name}`), {
    name,
    $metadata: { httpStatusCode: status },
    ...more,
  });
}

/** A transaction that was cancelled, with the reason of each write. */
export function cancelled(...codes: readonly string[]): Error {
  return awsError('TransactionCanceledException', 400, { CancellationReasons: codes.map((Code) => ({ Code })) });
}

/** Pauses take no time and are recorded; each is as long as it may be. */
export function instantPace(settings: Partial<RetrySettings> = {}): Pace & { readonly pauses: number[] } {
  const pauses: number[] = [];
  let nowMs = 0;
  return {
    pauses,
    random: () => 1,
    settings: { firstMs: 25, maxMs: 2_000, budgetMs: 30_000, ...settings },
    clock: {
      nowMs: () => nowMs,
      sleep: async (ms) => {
        pauses.push(ms);
        nowMs += ms;
      },
    },
  };
}
