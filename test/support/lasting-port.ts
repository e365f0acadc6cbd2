import { randomInt } from 'node:crypto';
import { createServer, type Server } from 'node:net';

/** Below the ports that systems hand out by themselves (from 32768 on Linux, 49152 elsewhere). */
const FIRST = 20_000;
const END = 30_000;
/** Whoever listens so far below a port has been given that one. */
const MARK_BELOW = 10_000;

/**
 * A free port for a server that a test stops and starts again. A port that the system gave would be given to somebody else in
 * between, and the clients that wait for the server would find that one. It is this process's alone until the process ends: tests
 * that run beside it are given another one, also while nothing listens there.
 */
export async function lastingPort(choose: () => number = () => randomInt(FIRST, END)): Promise<number> {
  for (;;) {
    const port = choose();
    const mark = await listen(port - MARK_BELOW);
    if (mark === undefined) {
      continue;
    }
    const probe = await listen(port);
    if (probe === undefined) {
      await close(mark);
      continue;
    }
    await close(probe);
    // The mark alone keeps no process running.
    mark.unref();
    return port;
  }
}

/** Undefined where somebody listens there already. */
function listen(port: number): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EADDRINUSE') {
        resolve(undefined);
      } else {
        reject(error);
      }
    });
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}

function close(server: Server): Promise<void> {
  return new Promise((resolve) => {
    server.close(() => resolve());
  });
}
