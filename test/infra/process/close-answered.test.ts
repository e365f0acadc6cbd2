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
import { frame } from '../../support/raw-grpc.ts';

const bytes = (message: Buffer): Buffer => message;
const method = (name: string, isStream: boolean): ServiceDefinition[string] => ({
  path: `/test.Talk/${name}`,
  requestStream: isStream,
  responseStream: isStream,
  requestSerialize: bytes,
  requestDeserialize: bytes,
  responseSerialize: bytes,
  responseDeserialize: bytes,
});
const definition: ServiceDefinition = { talk: method('Talk', true), ask: method('Ask', false) };
// Never reached: a shutdown that waits for the client would end the test by its limit.
const SETTINGS = { host: '127.0.0.1', port: 0, maxReceiveBytes: 1024, graceMs: 600_000 };

/** A server and a client's half of a call of it that stays open. */
async function open(path: string) {
  const shutdown = new AbortController();
  const handlers = createHandlers({ shutdown: shutdown.signal, report: () => undefined });
  const implementation = {
    talk: handlers.bidiStream<Buffer, Buffer>(async function* () {
      yield Buffer.from('answer');
      await whenAborted(shutdown.signal);
      throw abortError(shutdown.signal);
    }),
    ask: handlers.unary<Buffer, Buffer>(async (request) => request),
  };
  const services = [{ name: 'test.Talk', definition, implementation, isReady: true }];
  const server = await serve(services, shutdown, SETTINGS, pino({ level: 'silent' }));
  const session = connect(`http://${server.address}`);
  const headers = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers' };
  const stream = session.request(headers, { endStream: false });
  return { server, session, stream, closed: once(stream, 'close') };
}

it('a client that never ends its half gets the status and is let go; the shutdown does not wait for it', async () => {
  const { server, session, stream, closed } = await open('/test.Talk/Talk');
  const trailers = once(stream, 'trailers');
  await once(stream, 'data');
  const stopped = server.stop();
  const [received] = await trailers;
  assert.equal(Number(received['grpc-status']), status.UNAVAILABLE);
  await Promise.all([closed, stopped]);
  session.destroy();
});

it('so does one whose message is refused before a handler sees it', async () => {
  const { server, session, stream, closed } = await open('/test.Talk/Ask');
  const response = once(stream, 'response');
  stream.write(frame(Buffer.alloc(0), { length: SETTINGS.maxReceiveBytes + 1 }));
  const [received] = await response;
  assert.equal(Number(received['grpc-status']), status.INVALID_ARGUMENT);
  stream.resume();
  await Promise.all([closed, server.stop()]);
  session.destroy();
});
