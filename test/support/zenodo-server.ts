import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

/** What one answer for a file does instead of sending all that was asked for. */
export type Fault =
  | { readonly kind: 'status'; readonly status: number; readonly retryAfter?: string }
  /** Sends so much, then nothing until `breakOff`. */
  | { readonly kind: 'break'; readonly afterBytes: number }
  | { readonly kind: 'stall'; readonly afterBytes: number }
  | { readonly kind: 'ignore-range' }
  | { readonly kind: 'wrong-range' }
  | { readonly kind: 'other-bytes'; readonly bytes: Uint8Array };

export interface Asked {
  readonly name: string;
  readonly range: string | undefined;
}

/** Speaks the part of Zenodo's public API that serves a record and its files, ranges included; faults are used up one an answer. */
export class ZenodoServer {
  readonly asked: Asked[] = [];
  /** Replaces the record's answer. */
  recordAnswer: { readonly status: number; readonly body: string } | undefined;
  readonly #id: string;
  readonly #files: ReadonlyMap<string, Uint8Array>;
  readonly #faults = new Map<string, Fault[]>();
  readonly #server: Server;
  #broken: Socket | undefined;

  private constructor(id: string, files: ReadonlyMap<string, Uint8Array>) {
    this.#id = id;
    this.#files = files;
    this.#server = createServer((request, response) => this.#answer(request, response));
  }

  static async start(id: string, files: ReadonlyMap<string, Uint8Array>): Promise<ZenodoServer> {
    const server = new ZenodoServer(id, files);
    await new Promise<void>((resolve) => server.#server.listen(0, '127.0.0.1', resolve));
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  fail(name: string, ...faults: readonly Fault[]): void {
    this.#faults.set(name, [...(this.#faults.get(name) ?? []), ...faults]);
  }

  /**
   * Breaks the answer that a `break` fault left standing. The reader says when: what it had not taken when its connection breaks
   * is lost to it.
   */
  breakOff(): void {
    this.#broken?.destroy();
    this.#broken = undefined;
  }

  /** The record as the API describes it. */
  record(): Record<string, unknown> {
    return {
      id: Number(this.#id),
      doi: `10.5281/zenodo.${this.#id}`,
      metadata: { title: 'Models', license: { id: 'mit' } },
      files: [...this.#files].map(([key, bytes]) => ({
        id: key,
        key,
        size: bytes.byteLength,
        checksum: `md5:${createHash('md5').update(bytes).digest('hex')}`,
        links: { self: `${this.url}/api/records/${this.#id}/files/${encodeURIComponent(key)}/content` },
      })),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const path = decodeURIComponent(new URL(request.url ?? '/', this.url).pathname);
    if (path === `/api/records/${this.#id}`) {
      const { status, body } = this.recordAnswer ?? { status: 200, body: JSON.stringify(this.record()) };
      response.writeHead(status, { 'content-type': 'application/json' }).end(body);
      return;
    }
    const name = /^\/(?:api\/)?records\/\d+\/files\/([^/]+)(?:\/content)?$/.exec(path)?.[1] ?? '';
    const bytes = this.#files.get(name);
    if (bytes === undefined) {
      response.writeHead(404).end();
      return;
    }
    const { range } = request.headers;
    this.asked.push({ name, range });
    this.#send(response, bytes, range, this.#faults.get(name)?.shift());
  }

  #send(response: ServerResponse, whole: Uint8Array, range: string | undefined, fault: Fault | undefined): void {
    if (fault?.kind === 'status') {
      response.writeHead(fault.status, fault.retryAfter === undefined ? {} : { 'retry-after': fault.retryAfter }).end();
      return;
    }
    const bytes = fault?.kind === 'other-bytes' ? fault.bytes : whole;
    const asked = fault?.kind === 'ignore-range' ? undefined : /^bytes=(\d+)-$/.exec(range ?? '')?.[1];
    const start = Number(asked ?? 0) + (fault?.kind === 'wrong-range' ? 1 : 0);
    const rest = bytes.subarray(start);
    const partial = { 'content-range': `bytes ${start}-${bytes.byteLength - 1}/${bytes.byteLength}` };
    response.writeHead(asked === undefined ? 200 : 206, {
      'content-length': rest.byteLength,
      ...(asked === undefined ? {} : partial),
    });
    if (fault?.kind === 'break') {
      this.#broken = response.socket ?? undefined;
      response.write(rest.subarray(0, fault.afterBytes));
    } else if (fault?.kind === 'stall') {
      response.write(rest.subarray(0, fault.afterBytes));
    } else {
      response.end(rest);
    }
  }
}
