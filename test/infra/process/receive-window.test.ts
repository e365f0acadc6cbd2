import assert from 'node:assert/strict';
import { once } from 'node:events';
import { type ClientHttp2Session, connect, type Settings } from 'node:http2';
import { test } from 'node:test';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { NARROW_WINDOW_BYTES, RECEIVE_WINDOW_BYTES, ReceiveWindow } from '../../../infra/process/receive-window.ts';
import { eventually } from '../../support/eventually.ts';

const HTTP2_DEFAULT_BYTES = 65_535;

test('a client may send the whole window ahead, on a stream and on its connection', async () => {
  assert.deepEqual(await windowsOf(true), { stream: RECEIVE_WINDOW_BYTES, connection: RECEIVE_WINDOW_BYTES });
});

test('what grpc-js gives by itself is the default: the option is still not there for servers', async () => {
  assert.deepEqual(await windowsOf(false), { stream: HTTP2_DEFAULT_BYTES, connection: HTTP2_DEFAULT_BYTES });
});

test('while calls are refused streams begin with little, on later connections too; then with all again', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const server = new Server({ 'grpc.max_concurrent_streams': 10 });
  const window = new ReceiveWindow(server);
  const port = await bind(server);
  window.attach(server);
  const before = connect(`http://127.0.0.1:${port}`);
  const windowOf = async (session: ClientHttp2Session): Promise<number | undefined> => {
    await new Promise((resolve) => session.ping(resolve));
    return session.remoteSettings.initialWindowSize;
  };
  await once(before, 'remoteSettings');
  assert.equal(await windowOf(before), RECEIVE_WINDOW_BYTES);
  window.narrow();
  window.narrow();
  assert.equal(await windowOf(before), NARROW_WINDOW_BYTES);
  const later = connect(`http://127.0.0.1:${port}`);
  t.after(() => {
    before.destroy();
    later.destroy();
    server.forceShutdown();
  });
  await once(later, 'remoteSettings');
  await eventually(() => later.remoteSettings.initialWindowSize === NARROW_WINDOW_BYTES);
  t.mock.timers.tick(1_000);
  await eventually(() => [before, later].every((session) => session.remoteSettings.initialWindowSize === RECEIVE_WINDOW_BYTES));
});

/** The windows that a client of a new server is given. */
async function windowsOf(isWidened: boolean): Promise<{ stream: number | undefined; connection: number | undefined }> {
  const server = new Server({ 'grpc.max_concurrent_streams': 10 });
  const window = isWidened ? new ReceiveWindow(server) : undefined;
  const port = await bind(server);
  window?.attach(server);
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

function bind(server: Server): Promise<number> {
  return new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) {
        resolve(bound);
      } else {
        reject(error);
      }
    });
  });
}
