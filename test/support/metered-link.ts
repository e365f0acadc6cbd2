import { once } from 'node:events';
import { createServer, type Server, Socket } from 'node:net';
import { pipeline } from 'node:stream';
import { type Deferred, deferred } from './deferred.ts';

/**
 * A port in front of a server's that counts the bytes that go through, and cuts its connections when the server's are cut. Clients
 * of a server that is killed and started again stay on one address, and what they sent and got before and after can be told apart.
 */
export class MeteredLink implements AsyncDisposable {
  /** Bytes from clients to the server. */
  upBytes = 0;
  /** Bytes from the server to clients. */
  downBytes = 0;
  readonly #server: Server;
  readonly #open = new Set<Socket>();
  #onBytes: (() => void)[] = [];
  /** How many more bytes the server gets before the rest waits for `letThrough`. */
  #passBytes = Number.POSITIVE_INFINITY;
  #passAll: Deferred<void> = deferred();

  private constructor(targetPort: number) {
    this.#server = createServer((near) => this.#join(near, targetPort));
  }

  static async open(targetPort: number): Promise<MeteredLink> {
    const link = new MeteredLink(targetPort);
    link.#server.listen(0, '127.0.0.1');
    await once(link.#server, 'listening');
    return link;
  }

  get address(): string {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? `127.0.0.1:${address.port}` : '';
  }

  /** Resolves at the next bytes in either direction. */
  untilUsed(): Promise<void> {
    return new Promise((resolve) => this.#onBytes.push(resolve));
  }

  /** Lets so many more bytes through to the server, over whatever connections; so what clients do gets that far and no further. */
  holdAfter(bytes: number): void {
    this.#passBytes = bytes;
    this.#passAll = deferred();
  }

  /** Ends that. */
  letThrough(): void {
    this.#passBytes = Number.POSITIVE_INFINITY;
    this.#passAll.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.letThrough();
    for (const socket of this.#open) {
      socket.destroy();
    }
    this.#server.close();
    await once(this.#server, 'close');
  }

  #join(near: Socket, targetPort: number): void {
    const far = new Socket();
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#open.add(socket);
      // An error is followed by a close; a half-closed connection is of no use to HTTP/2.
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#open.delete(socket);
        other.destroy();
      });
    }
    far.connect(targetPort, '127.0.0.1', () => {
      // Not before: a listener without a pipe would swallow what comes first. How it ends, the sockets tell.
      pipeline(
        near,
        (source: AsyncIterable<Buffer>) => this.#held(source),
        far,
        () => undefined,
      );
      far.on('data', (bytes) => this.#count('downBytes', bytes.byteLength));
      far.pipe(near);
    });
  }

  async *#held(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const bytes of source) {
      this.#count('upBytes', bytes.byteLength);
      const passing = bytes.subarray(0, Math.min(bytes.byteLength, this.#passBytes));
      this.#passBytes -= passing.byteLength;
      yield passing;
      if (passing.byteLength < bytes.byteLength) {
        await this.#passAll.promise;
        yield bytes.subarray(passing.byteLength);
      }
    }
  }

  #count(direction: 'upBytes' | 'downBytes', bytes: number): void {
    this[direction] += bytes;
    const waiting = this.#onBytes;
    this.#onBytes = [];
    for (const resolve of waiting) {
      resolve();
    }
  }
}
