import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** Below the ports that systems hand out by themselves (from 32768 on Linux, 49152 elsewhere). */
const FIRST = 20_000;
const END = 30_000;

/**
 * A free port for a server that a test stops and starts again. A port that the system gave would be given to somebody else in
 * between, and the clients that wait for the server would find that one.
 */
export async function lastingPort(): Promise<number> {
  for (;;) {
    const port = randomInt(FIRST, END);
    const server = createServer().listen(port, '127.0.0.1');
    const isFree = await Promise.race([once(server, 'listening').then(() => true), once(server, 'error').then(() => false)]);
    if (isFree) {
      server.close();
      await once(server, 'close');
      return port;
    }
  }
}
