import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:http2';
import { it } from 'node:test';
import { type ServiceDefinition, status } from '@grpc/grpc-js';
import { pino } from 'pino';
import { serve } from '../../../infra/process/serve.ts';
import { abortError } from '../../../proto/wire/errors.ts';
import { createHandlers } from '../../../proto/wire/handlers.ts';
import { whenAborted } from '../../support/deferred.ts';

const bytes = (message: Buffer): Buffer => message;
const definition: ServiceDefinition = {
  talk: {
    path: '/test.Talk/Talk',
    requestStream: true,
    responseStream: true,
    requestSerialize: bytes,
    requestDeserialize: bytes,
    responseSerialize: bytes,
    responseDeserialize: bytes,
  },
};
// Never reached: a shutdown that waits for the client would end the test by its limit.
const SETTINGS = { host: '127.0.0.1', port: 0, maxReceiveBytes: 1024, graceMs: 600_000 };

it('a client that never ends its half gets the status and is let go; the shutdown does not wait for it', async () => {
  const shutdown = new AbortController();
  const handlers = createHandlers({ shutdown: shutdown.signal, report: () => undefined });
  const implementation = {
    talk: handlers.bidiStream<Buffer, Buffer>(async function* () {
      yield Buffer.from('answer');
      await whenAborted(shutdown.signal);
      throw abortError(shutdown.signal);
    }),
  };
  const services = [{ name: 'test.Talk', definition, implementation, isReady: true }];
  const server = await serve(services, shutdown, SETTINGS, pino({ level: 'silent' }));
  const session = connect(`http://${server.address}`);
  const headers = { ':method': 'POST', ':path': '/test.Talk/Talk', 'content-type': 'application/grpc', te: 'trailers' };
  const stream = session.request(headers, { endStream: false });
  const trailers = once(stream, 'trailers');
  const closed = once(stream, 'close');
  await once(stream, 'data');
  const stopped = server.stop();
  const [received] = await trailers;
  assert.equal(Number(received['grpc-status']), status.UNAVAILABLE);
  await Promise.all([closed, stopped]);
  session.destroy();
});
