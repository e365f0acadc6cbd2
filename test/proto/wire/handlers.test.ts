import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:http2';
import { describe, it } from 'node:test';
import { Metadata } from '@grpc/grpc-js';
import { abortError, isServiceError, ServiceError } from '../../../proto/wire/errors.ts';
import { deferred, whenAborted } from '../../support/deferred.ts';
import { frame } from '../../support/raw-grpc.ts';
import { isError, rejection } from '../../support/service-errors.ts';
import { type Note, type NoteHandlers, startNoteService } from '../../support/wire-service.ts';

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

const CONFLICT = new ServiceError('aborted', 'REVISION_CONFLICT', 'expected 1, found 2', {
  metadata: { current_revision: '2' },
  violations: [{ field: 'expected_revision', description: 'is 2' }],
  retryDelayMs: 250,
});

describe('handlers', () => {
  it('answer, and report the call once with its code and fields', async () => {
    await using service = await startNoteService({
      unary: async ({ text }, context) => {
        context.annotate({ model: 'M' });
        context.annotate({ version: 3 });
        return { text: text.toUpperCase() };
      },
    });
    assert.deepEqual(await service.unary({ text: 'a' }, { requestId: 'id-1' }), { text: 'A' });
    const { durationMs, peer, ...report } = await service.nextReport();
    assert.deepEqual(report, {
      method: '/test.Notes/Unary',
      requestId: 'id-1',
      fields: { model: 'M', version: 3 },
      error: undefined,
      defect: undefined,
    });
    assert.equal(durationMs >= 0 && peer.startsWith('127.0.0.1:'), true);
    await service.unary({ text: 'b' });
    assert.equal(service.reports.length, 2);
  });

  const failing: Readonly<Record<'unary' | 'clientStream' | 'serverStream', NoteHandlers>> = {
    unary: {
      unary: async () => {
        throw CONFLICT;
      },
    },
    clientStream: {
      clientStream: async (requests) => {
        for await (const { text } of requests) {
          assert.equal(text, 'a');
        }
        throw CONFLICT;
      },
    },
    serverStream: {
      serverStream: async function* () {
        yield { text: '1' };
        yield { text: '2' };
        throw CONFLICT;
      },
    },
  };
  for (const [kind, handlers] of Object.entries(failing)) {
    it(`${kind}: a failure reaches the caller with its details, and the report`, async () => {
      await using service = await startNoteService(handlers);
      const received: string[] = [];
      const error = await rejection(
        kind === 'unary'
          ? service.unary({ text: '' })
          : kind === 'clientStream'
            ? service.clientStream([{ text: 'a' }])
            : forEach(service.serverStream({ text: '' }), ({ text }) => received.push(text)),
      );
      for (const field of ['kind', 'reason', 'message', 'metadata', 'violations', 'retryDelayMs'] as const) {
        assert.deepEqual(error[field], CONFLICT[field], field);
      }
      assert.deepEqual(received, kind === 'serverStream' ? ['1', '2'] : []);
      assert.equal((await service.nextReport()).error, CONFLICT);
      assert.equal(service.reports.length, 1);
    });
  }

  it('a foreign error is INTERNAL without its text for the caller, and itself in the report', async () => {
    const foreign = new TypeError('secret');
    await using service = await startNoteService({
      unary: () => {
        throw foreign;
      },
    });
    const error = await rejection(service.unary({ text: '' }));
    isError('internal', 'INTERNAL')(error);
    assert.equal(error.message.includes('secret'), false);
    assert.equal((await service.nextReport()).error, foreign);
  });

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

  it('a passed deadline aborts the signal as such', async () => {
    let seen: number | undefined;
    await using service = await startNoteService({
      unary: async (_, { signal, deadlineMs }) => {
        seen = deadlineMs;
        await whenAborted(signal);
        throw abortError(signal);
      },
    });
    const before = Date.now();
    // A client that leaves the deadline to the server, which counts from the arrival of the call.
    const session = connect(`http://${service.address}`);
    const stream = session.request({
      ':method': 'POST',
      ':path': '/test.Notes/Unary',
      'content-type': 'application/grpc',
      te: 'trailers',
      'grpc-timeout': '20m',
    });
    stream.end(frame(Buffer.from('{}')));
    isError('deadline-exceeded', 'DEADLINE_EXCEEDED')((await service.nextReport()).error);
    assert.equal(seen !== undefined && seen >= before, true);
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

  it('a client that does not read stops the generator', async () => {
    const total = 600;
    let produced = 0;
    await using service = await startNoteService({
      unary: async (request) => request,
      serverStream: async function* () {
        for (; produced < total; produced += 1) {
          yield { text: 'x'.repeat(64 * 1024) };
        }
      },
    });
    const stream = service.rawServerStream();
    await once(stream, 'metadata');
    // Each round trip on the same connection gives the generator every chance to run on.
    for (let round = 0; round < 50; round += 1) {
      await service.unary({ text: '' });
    }
    assert.equal(produced > 0 && produced < total / 2, true, `${produced} of ${total} produced`);
    let received = 0;
    for await (const _ of stream) {
      received += 1;
    }
    assert.equal(received, total);
  });

  it('a client that leaves ends the generator, even one that waits for the client to read', async () => {
    const closed = deferred();
    await using service = await startNoteService({
      serverStream: async function* () {
        try {
          for (;;) {
            yield { text: 'x'.repeat(64 * 1024) };
          }
        } finally {
          closed.resolve();
        }
      },
    });
    for await (const _ of service.serverStream({ text: '' })) {
      break;
    }
    await closed.promise;
    isError('cancelled', 'CANCELLED')((await service.nextReport()).error);
  });

  it('a client stream may be answered before it ended', async () => {
    await using service = await startNoteService({
      clientStream: async (requests) => {
        for await (const request of requests) {
          return request;
        }
        return { text: 'none' };
      },
    });
    assert.deepEqual(await service.clientStream(endless('first')), { text: 'first' });
    assert.equal((await service.nextReport()).error, undefined);
    assert.deepEqual(await service.clientStream([]), { text: 'none' });
  });

  it('a handler that waits for the next request learns that the client went', async () => {
    const ended = deferred<unknown>();
    const first = deferred();
    await using service = await startNoteService({
      clientStream: async (requests) => {
        try {
          for await (const _ of requests) {
            first.resolve();
          }
          ended.resolve('ended as if the client had sent everything');
        } catch (error) {
          ended.resolve(error);
        }
        return { text: '' };
      },
    });
    const controller = new AbortController();
    const call = rejection(service.clientStream(oneThenWait(), { signal: controller.signal }));
    await first.promise;
    controller.abort();
    isError('cancelled', 'CANCELLED')(await ended.promise);
    isError('cancelled', 'CANCELLED')(await call);
  });

  it('a bidirectional stream answers while it reads', async () => {
    await using service = await startNoteService({
      bidiStream: async function* (requests) {
        for await (const { text } of requests) {
          yield { text: `${text}!` };
        }
      },
    });
    const stream = service.rawBidi();
    const received: string[] = [];
    stream.write({ text: '0' });
    for await (const { text } of stream) {
      received.push(text);
      if (received.length === 3) {
        stream.end();
      } else {
        stream.write({ text: String(received.length) });
      }
    }
    assert.deepEqual(received, ['0!', '1!', '2!']);
    assert.equal((await service.nextReport()).error, undefined);
  });

  it('the shutdown signal lets a long stream end itself', async () => {
    await using service = await startNoteService({
      serverStream: async function* (_, { shutdown }) {
        yield { text: 'snapshot' };
        await whenAborted(shutdown);
        throw abortError(shutdown);
      },
    });
    const error = await rejection(
      forEach(service.serverStream({ text: '' }), () =>
        service.shutdown.abort(new ServiceError('unavailable', 'SHUTTING_DOWN', 'x')),
      ),
    );
    isError('unavailable', 'SHUTTING_DOWN')(error);
  });

  describe('request id', () => {
    const echo: NoteHandlers = { unary: async (request) => request };

    it('is sent back in the header', async () => {
      await using service = await startNoteService(echo);
      const { header } = await service.rawUnary(withId('abc-123'));
      assert.deepEqual(header.get('x-request-id'), ['abc-123']);
      assert.equal((await service.nextReport()).requestId, 'abc-123');
    });

    const hostile: Readonly<Record<string, string | undefined>> = {
      'is made where there is none': undefined,
      'is replaced when it has blanks': 'a b',
      'is replaced when it is too long': 'x'.repeat(129),
      'is replaced when it is empty': '',
    };
    for (const [name, id] of Object.entries(hostile)) {
      it(name, async () => {
        await using service = await startNoteService(echo);
        const { header } = await service.rawUnary(id === undefined ? new Metadata() : withId(id));
        const { requestId } = await service.nextReport();
        assert.match(requestId, UUID);
        assert.deepEqual(header.get('x-request-id'), [requestId]);
      });
    }

    it('is the only thing of the caller that comes back', async () => {
      await using service = await startNoteService(echo);
      const metadata = withId('a');
      metadata.set('authorization', 'Bearer secret');
      const { header } = await service.rawUnary(metadata);
      assert.deepEqual(header.get('authorization'), []);
    });
  });
});

function withId(id: string): Metadata {
  const metadata = new Metadata();
  metadata.set('x-request-id', id);
  return metadata;
}

async function forEach(notes: AsyncIterable<Note>, use: (note: Note) => void): Promise<void> {
  for await (const note of notes) {
    use(note);
  }
}

function* endless(text: string): Generator<Note> {
  for (;;) {
    yield { text };
  }
}

async function* oneThenWait(): AsyncGenerator<Note> {
  yield { text: '' };
  await new Promise(() => undefined);
}
