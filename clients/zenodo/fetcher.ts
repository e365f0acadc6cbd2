import { abortError, ServiceError, throwIfAborted } from '../../proto/wire/errors.ts';
import { type RetryDeps, retry, type RetrySettings } from '../retry.ts';

export interface FetcherSettings {
  readonly retry: RetrySettings;
  /** An answer that brings nothing for this long is given up. */
  readonly idleMs: number;
}

/** A body as it comes. */
export interface OpenBody {
  readonly status: number;
  /** Of the whole file, from Content-Range; undefined where the answer does not say. */
  readonly rangeStart: number | undefined;
  /** To be read to its end or left early, or else never begun and left with `leave`. */
  readonly body: AsyncIterable<Uint8Array>;
  readonly leave: () => Promise<void>;
}

/** Plain downloads over HTTP, with a bound on silence. */
export class Fetcher {
  readonly #deps: RetryDeps;
  readonly #settings: FetcherSettings;

  constructor(deps: RetryDeps, settings: FetcherSettings) {
    this.#deps = deps;
    this.#settings = settings;
  }

  /**
   * A whole small answer, tried again while the server is away or busy.
   * @throws ServiceError unavailable DOWNLOAD_FAILED; data-loss INVALID_RECORD for more than `maxBytes`; the signal's reason.
   */
  text(url: string, maxBytes: number, signal: AbortSignal): Promise<{ readonly status: number; readonly text: string }> {
    const once = async (): Promise<{ status: number; text: string }> => {
      const { status, body } = await this.open(url, 0, signal);
      const pieces: Uint8Array[] = [];
      let length = 0;
      for await (const piece of body) {
        length += piece.byteLength;
        if (length > maxBytes) {
          throw new ServiceError('data-loss', 'INVALID_RECORD', `${url}: more than ${maxBytes} bytes`);
        }
        pieces.push(piece);
      }
      return { status, text: Buffer.concat(pieces).toString('utf8') };
    };
    return retry(once, { signal, retry: this.#settings.retry }, this.#deps);
  }

  /**
   * One try to read `url` from a byte on. Leaving the body early ends the transfer.
   * @throws ServiceError unavailable DOWNLOAD_FAILED where nothing comes, or the server says that it is away or busy, then with
   *   the delay it asks for; the signal's reason.
   */
  async open(url: string, offsetBytes: number, signal: AbortSignal): Promise<OpenBody> {
    throwIfAborted(signal);
    const watch = new Silence(url, this.#settings.idleMs, signal);
    try {
      const headers: Record<string, string> = { 'accept-encoding': 'identity' };
      if (offsetBytes > 0) {
        headers['range'] = `bytes=${offsetBytes}-`;
      }
      const response = await fetch(url, { headers, signal: watch.signal });
      watch.heard();
      const { status } = response;
      if (status === 429 || status >= 500) {
        await response.body?.cancel();
        throw failed(url, `answered ${status}`, undefined, retryAfterMs(response.headers.get('retry-after'), this.#deps.now()));
      }
      const leave = async (): Promise<void> => {
        watch.close();
        await response.body?.cancel();
      };
      return {
        status,
        rangeStart: rangeStartOf(response.headers.get('content-range')),
        body: piecesOf(response.body, watch),
        leave,
      };
    } catch (error) {
      watch.close();
      throw watch.explain(error);
    }
  }
}

async function* piecesOf(body: ReadableStream<Uint8Array> | null, watch: Silence): AsyncGenerator<Uint8Array> {
  try {
    if (body !== null) {
      for await (const piece of body) {
        watch.heard();
        yield piece;
        // What the reader takes for itself is no silence of the server.
        watch.heard();
      }
    }
  } catch (error) {
    throw watch.explain(error);
  } finally {
    watch.close();
  }
}

/** Aborts a transfer that nothing is heard of, or whose caller gave up; tells the two apart. */
class Silence {
  readonly #url: string;
  readonly #outer: AbortSignal;
  readonly #own = new AbortController();
  readonly #stop = (): void => this.#own.abort(abortError(this.#outer));
  readonly #timer: NodeJS.Timeout;

  constructor(url: string, idleMs: number, outer: AbortSignal) {
    this.#url = url;
    this.#outer = outer;
    outer.addEventListener('abort', this.#stop, { once: true });
    this.#timer = setTimeout(() => this.#own.abort(failed(this.#url, `nothing came for ${idleMs} ms`)), idleMs);
  }

  get signal(): AbortSignal {
    return this.#own.signal;
  }

  heard(): void {
    this.#timer.refresh();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#outer.removeEventListener('abort', this.#stop);
  }

  explain(error: unknown): unknown {
    if (this.#own.signal.aborted) {
      return abortError(this.#own.signal);
    }
    return error instanceof ServiceError ? error : failed(this.#url, causeOf(error), error);
  }
}

/** fetch says "fetch failed" and keeps the reason for itself. */
function causeOf(error: unknown): string {
  const inner = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  return inner instanceof Error ? inner.message || inner.name : String(inner);
}

function failed(url: string, problem: string, cause?: unknown, retryDelayMs?: number): ServiceError {
  return new ServiceError('unavailable', 'DOWNLOAD_FAILED', `${url}: ${problem}`, {
    cause,
    ...(retryDelayMs === undefined ? {} : { retryDelayMs }),
  });
}

/** Longer is not waited for: the next run goes on where this one stopped. */
const MAX_RETRY_AFTER_MS = 120_000;

/** Seconds or a date, as HTTP has it. */
function retryAfterMs(text: string | null, nowMs: number): number | undefined {
  const ms = text === null ? Number.NaN : /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - nowMs;
  return Number.isFinite(ms) ? Math.min(Math.max(0, ms), MAX_RETRY_AFTER_MS) : undefined;
}

function rangeStartOf(text: string | null): number | undefined {
  const start = /^bytes (\d+)-/.exec(text ?? '')?.[1];
  return start === undefined ? undefined : Number(start);
}
