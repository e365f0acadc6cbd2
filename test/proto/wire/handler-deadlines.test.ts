import assert from 'node:assert/strict';
import { connect } from 'node:http2';
import { describe, it } from 'node:test';
import { abortError, isServiceError, ServiceError } from '../../../proto/wire/errors.ts';
import { deferred, whenAborted } from '../../support/deferred.ts';
import { frame } from '../../support/raw-grpc.ts';
import { isError, rejection } from '../../support/service-errors.ts';
import { type Note, startNoteService } from '../../support/wire-service.ts';

describe('handlers', () => {
  it('a cancelled call aborts the signal and is reported as cancelled', async () => {
    const started = deferred();
    const aborted = deferred<unknown>();
    await using service = await startNoteService({
      unary: async (_, { signal }) => {
        started.resolve();
        aborted.resolve(await whenAborted(signal));
        throw new Error('what the handler makes of it does not matter');
      },
    });
    const controller = new AbortController();
    const call = rejection(service.unary({ text: '' }, { signal: controller.signal }));
    await started.promise;
    controller.abort();
    isError('cancelled', 'CANCELLED')(await call);
    isError('cancelled', 'CANCELLED')(await aborted.promise);
    isError('cancelled', 'CANCELLED')((await service.nextReport()).error);
  });

  for (const kind of ['unary', 'serverStream'] as const) {
    it(`${kind}: calls that are aborted are answered with the reason at once, whatever they are in the middle of`, async () => {
      const started = deferred();
      const never = async (): Promise<Note> => {
        started.resolve();
        return new Promise(() => undefined);
      };
      await using service = await startNoteService({
        unary: never,
        serverStream: async function* () {
          yield await never();
        },
      });
      const call = rejection(kind === 'unary' ? service.unary({ text: '' }) : service.serverStream({ text: '' }).next());
      await started.promise;
      service.abortCalls(new ServiceError('unavailable', 'SHUTTING_DOWN', 'x'));
      isError('unavailable', 'SHUTTING_DOWN')(await call);
      isError('unavailable', 'SHUTTING_DOWN')((await service.nextReport()).error);
    });
  }

  it('a passed deadline ends the call for the client', async () => {
    await using service = await startNoteService({ unary: () => new Promise(() => undefined) });
    isError('deadline-exceeded', 'DEADLINE_EXCEEDED')(await rejection(service.unary({ text: '' }, { timeoutMs: 60 })));
  });

  it('a passed deadline aborts the signal as such', async (t) => {
    const started = deferred<number | undefined>();
    await using service = await startNoteService({
      unary: async (_, { signal, deadlineMs }) => {
        started.resolve(deadlineMs);
        await whenAborted(signal);
        throw abortError(signal);
      },
    });
    // The server's own timer, which the test lets pass once the handler runs: one that passed before would leave nothing to abort.
    t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_000_000 });
    // A client that leaves the deadline to the server, which counts from the arrival of the call.
    const session = connect(`http://${service.address}`);
    t.after(() => session.destroy());
    const stream = session.request({
      ':method': 'POST',
      ':path': '/test.Notes/Unary',
      'content-type': 'application/grpc',
      te: 'trailers',
      'grpc-timeout': '20m',
    });
    stream.end(frame(Buffer.from('{}')));
    assert.equal(await started.promise, 1_000_020);
    t.mock.timers.tick(20);
    isError('deadline-exceeded', 'DEADLINE_EXCEEDED')((await service.nextReport()).error);
    session.destroy();
  });

  for (const [leftMs, reason] of [
    [100, 'DEADLINE_EXCEEDED'],
    [101, 'CANCELLED'],
  ] as const) {
    it(`a client that leaves ${leftMs} ms before its deadline: ${reason}`, async (t) => {
      const started = deferred<number>();
      await using service = await startNoteService({
        unary: async (_, { signal, deadlineMs = 0 }) => {
          started.resolve(deadlineMs);
          await whenAborted(signal);
          throw abortError(signal);
        },
      });
      const client = new AbortController();
      const call = rejection(service.unary({ text: '' }, { timeoutMs: 600_000, signal: client.signal }));
      t.mock.timers.enable({ apis: ['Date'], now: (await started.promise) - leftMs });
      client.abort();
      assert.equal((await call).reason, 'CANCELLED');
      const { error } = await service.nextReport();
      assert.equal(isServiceError(error) && error.reason, reason);
    });
  }

  it('without a deadline there is none', async () => {
    const seen = deferred<number | undefined>();
    await using service = await startNoteService({
      unary: async (request, { deadlineMs }) => {
        seen.resolve(deadlineMs);
        return request;
      },
    });
    await service.unary({ text: '' });
    assert.equal(await seen.promise, undefined);
  });
});
