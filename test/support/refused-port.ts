import { once } from 'node:events';
import { type AddressInfo, createServer, Socket } from 'node:net';

export interface RefusedPort extends AsyncDisposable {
  readonly address: string;
}

/**
 * An address of this machine that refuses connections, until it is disposed. The port of a server that was closed could be given
 * to somebody else at once; this one is taken, by the near end of a connection, and nobody listens at it.
 */
export async function refusedPort(): Promise<RefusedPort> {
  // What is read to its end is ended too.
  const server = createServer((far) => void far.resume()).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const taken = new Socket().connect((server.address() as AddressInfo).port, '127.0.0.1');
  await once(taken, 'connect');
  return {
    address: `127.0.0.1:${taken.localPort}`,
    [Symbol.asyncDispose]: async () => {
      server.close();
      taken.destroy();
      await once(server, 'close');
    },
  };
}
