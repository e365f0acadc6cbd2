import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Settings } from 'node:http2';
import { test } from 'node:test';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { RECEIVE_WINDOW_BYTES, widenReceiveWindow } from '../../../infra/process/receive-window.ts';

const HTTP2_DEFAULT_BYTES = 65_535;

test('a client may send the whole window ahead, on a stream and on its connection', async () => {
  assert.deepEqual(await windowsOf(true), { stream: RECEIVE_WINDOW_BYTES, connection: RECEIVE_WINDOW_BYTES });
});

test('what grpc-js gives by itself is the default: the option is still not there for servers', async () => {
  assert.deepEqual(await windowsOf(false), { stream: HTTP2_DEFAULT_BYTES, connection: HTTP2_DEFAULT_BYTES });
});

/** The windows that a client of a new server is given. */
async function windowsOf(isWidened: boolean): Promise<{ stream: number | undefined; connection: number | undefined }> {
  const server = new Server({ 'grpc.max_concurrent_streams': 10 });
  const onBound = isWidened ? widenReceiveWindow(server) : (): void => undefined;
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) {
        resolve(bound);
      } else {
        reject(error);
      }
    });
  });
  onBound();
  const session = connect(`http://127.0.0.1:${port}`);
  try {
    const [settings] = (await once(session, 'remoteSettings')) as [Settings];
    // An answer to a ping comes after everything that the server sent at the beginning.
    await new Promise((resolve) => session.ping(resolve));
    return { stream: settings.initialWindowSize, connection: session.state.remoteWindowSize };
  } finally {
    session.close();
    server.forceShutdown();
  }
}
