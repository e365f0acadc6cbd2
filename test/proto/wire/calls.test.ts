import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { Client, credentials } from '@grpc/grpc-js';
import { callUnary } from '../../../proto/wire/calls.ts';
import { abortError, ServiceError } from '../../../proto/wire/errors.ts';
import { collectAllGarbage } from '../../support/collect-garbage.ts';
import { deferred, whenAborted } from '../../support/deferred.ts';
import { isError, rejection } from '../../support/service-errors.ts';
import { type Note, startNoteService } from '../../support/wire-service.ts';

/** Of the event loop; the transport needs a handful to be done with a message. */
const MOST_TURNS = 500;

describe('calls', () => {
  it('an unreachable server is unavailable', async () => {
    const client = new Client('127.0.0.1:1', credentials.createInsecure());
    try {
      const call = callUnary<Note, Note>(
        (q, m, o, done) =>
          client.makeUnaryRequest(
            '/test.Notes/Unary',
            () => Buffer.from(''),
            () => ({ text: '' }),
            q,
            m,
            o,
            (e, r) => done(e, r ?? { text: '' }),
          ),
        { text: '' },
      );
      const { kind } = await rejection(call);
      assert.equal(kind, 'unavailable');
    } finally {
      client.close();
    }
  });

  it('with a signal that is aborted already no call is made', async () => {
    await using service = await startNoteService({ unary: async (request) => request });
    const reason = new ServiceError('unavailable', 'SHUTTING_DOWN', 'x');
    const options = { signal: AbortSignal.abort(reason) };
    assert.equal(await rejection(service.unary({ text: '' }, options)), reason);
    assert.equal(await rejection(service.clientStream([], options)), reason);
    assert.equal(await rejection(service.serverStream({ text: '' }, options).next()), reason);
    assert.equal(service.reports.length, 0);
  });

  it('a server stream ends with the reason of the signal that stopped it', async () => {
    await using service = await startNoteService({
      serverStream: async function* (_, { signal }) {
        yield { text: '1' };
        await whenAborted(signal);
      },
    });
    const controller = new AbortController();
    const reason = new ServiceError('deadline-exceeded', 'DEADLINE_EXCEEDED', 'x');
    const stream = service.serverStream({ text: '' }, { signal: controller.signal });
    assert.deepEqual(await stream.next(), { done: false, value: { text: '1' } });
    controller.abort(reason);
    assert.equal(await rejection(stream.next()), reason);
  });

  it('a server stream that nothing reads on is not read ahead of the loop', async () => {
    let produced = 0;
    const total = 600;
    await using service = await startNoteService({
      unary: async (request) => request,
      serverStream: async function* () {
        for (; produced < total; produced += 1) {
          yield { text: 'x'.repeat(64 * 1024) };
        }
      },
    });
    let received = 0;
    for await (const _ of service.serverStream({ text: '' })) {
      received += 1;
      if (received === 1) {
        for (let round = 0; round < 50; round += 1) {
          await service.unary({ text: '' });
        }
        assert.equal(produced < total / 2, true, `${produced} of ${total} produced`);
      }
    }
    assert.equal(received, total);
  });

  it('a client stream sends no faster than the server reads', async () => {
    const total = 600;
    const proceed = deferred();
    const started = deferred();
    let sent = 0;
    const warnings: Error[] = [];
    const warn = (warning: Error): number => warnings.push(warning);
    process.on('warning', warn);
    await using service = await startNoteService({
      unary: async (request) => request,
      clientStream: async (requests) => {
        started.resolve();
        await proceed.promise;
        let count = 0;
        for await (const _ of requests) {
          count += 1;
        }
        return { text: String(count) };
      },
    });
    const call = service.clientStream(
      (function* () {
        for (; sent < total; sent += 1) {
          yield { text: 'x'.repeat(64 * 1024) };
        }
      })(),
    );
    await started.promise;
    for (let round = 0; round < 50; round += 1) {
      await service.unary({ text: '' });
    }
    assert.equal(sent > 0 && sent < total / 2, true, `${sent} of ${total} sent`);
    proceed.resolve();
    assert.deepEqual(await call, { text: String(total) });
    // Hundreds of waits for the transport leave no listener behind.
    assert.deepEqual(warnings, []);
    process.off('warning', warn);
  });

  for (const kind of ['client', 'bidirectional'] as const) {
    it(`a ${kind} stream remembers none of what was sent`, async () => {
      const total = 100;
      const refs: WeakRef<Note>[] = [];
      const arrived = deferred();
      const countAll = async (requests: AsyncIterable<Note>): Promise<Note> => {
        let count = 0;
        for await (const _ of requests) {
          count += 1;
          if (count === total) {
            arrived.resolve();
          }
        }
        return { text: String(count) };
      };
      const requests = (async function* (): AsyncGenerator<Note> {
        for (let index = 0; index < total; index += 1) {
          const note = { text: 'x' };
          refs.push(new WeakRef(note));
          yield note;
        }
        await arrived.promise;
        // A reference is dropped at the end of a turn of the event loop, and the transport needs some to be done with the last ones.
        const countHeld = (): number => {
          collectAllGarbage();
          return refs.filter((ref) => ref.deref() !== undefined).length;
        };
        let held = countHeld();
        for (let turns = 0; held >= 10 && turns < MOST_TURNS; turns += 1) {
          await turn();
          held = countHeld();
        }
        assert.ok(held < 10, `${held} of ${total} requests are remembered`);
      })();
      await using service = await startNoteService({
        clientStream: countAll,
        bidiStream: async function* (notes) {
          yield await countAll(notes);
        },
      });
      const answer = kind === 'client' ? await service.clientStream(requests) : (await service.bidiStream(requests).next()).value;
      assert.deepEqual(answer, { text: String(total) });
    });
  }

  it('a client stream that is answered early closes its requests', async () => {
    const closed = deferred();
    await using service = await startNoteService({ clientStream: async () => ({ text: 'enough' }) });
    const requests = (async function* (): AsyncGenerator<Note> {
      try {
        for (;;) {
          yield { text: 'x' };
        }
      } finally {
        closed.resolve();
      }
    })();
    assert.deepEqual(await service.clientStream(requests), { text: 'enough' });
    await closed.promise;
  });

  it('an early error is thrown although the next request never comes', async () => {
    await using service = await startNoteService({
      clientStream: async () => {
        throw new ServiceError('not-found', 'STAGING_NOT_FOUND', 'x');
      },
    });
    const requests = (async function* (): AsyncGenerator<Note> {
      yield { text: 'first' };
      await new Promise(() => undefined);
    })();
    isError('not-found', 'STAGING_NOT_FOUND')(await rejection(service.clientStream(requests)));
  });

  it('an error of the requests cancels the call and is thrown as it is', async () => {
    const arrived = deferred();
    await using service = await startNoteService({
      clientStream: async (requests) => {
        for await (const _ of requests) {
          arrived.resolve();
        }
        return { text: 'complete' };
      },
    });
    const broken = new RangeError('disk read failed');
    const requests = (async function* (): AsyncGenerator<Note> {
      yield { text: '1' };
      await arrived.promise;
      throw broken;
    })();
    await assert.rejects(service.clientStream(requests), (error) => error === broken);
    isError('cancelled', 'CANCELLED')((await service.nextReport()).error);
  });

  it('a bidirectional stream sends and receives at the same time', async () => {
    await using service = await startNoteService({
      bidiStream: async function* (requests) {
        for await (const { text } of requests) {
          yield { text: text.toUpperCase() };
        }
      },
    });
    const answered = [deferred(), deferred()];
    const requests = (async function* (): AsyncGenerator<Note> {
      yield { text: 'a' };
      await answered[0]?.promise;
      yield { text: 'b' };
    })();
    const received: string[] = [];
    for await (const { text } of service.bidiStream(requests)) {
      answered[received.length]?.resolve();
      received.push(text);
    }
    assert.deepEqual(received, ['A', 'B']);
  });

  it('a bidirectional stream sends no faster than the server reads, and reads no faster than the loop', async () => {
    const total = 600;
    let sent = 0;
    await using service = await startNoteService({
      unary: async (request) => request,
      bidiStream: async function* (requests) {
        for await (const request of requests) {
          yield request;
        }
      },
    });
    const requests = (function* () {
      for (; sent < total; sent += 1) {
        yield { text: 'x'.repeat(64 * 1024) };
      }
    })();
    let received = 0;
    for await (const _ of service.bidiStream(requests)) {
      received += 1;
      if (received === 1) {
        for (let round = 0; round < 50; round += 1) {
          await service.unary({ text: '' });
        }
        assert.equal(sent < total / 2, true, `${sent} of ${total} sent`);
      }
    }
    assert.equal(received, total);
  });

  it('a bidirectional stream that the server fails throws its error and closes the requests', async () => {
    const closed = deferred();
    await using service = await startNoteService({
      bidiStream: async function* (requests) {
        for await (const request of requests) {
          yield request;
          throw new ServiceError('invalid-argument', 'INVALID_REQUEST', 'x');
        }
      },
    });
    const requests = (async function* (): AsyncGenerator<Note> {
      try {
        for (;;) {
          yield { text: 'x'.repeat(64 * 1024) };
        }
      } finally {
        closed.resolve();
      }
    })();
    const stream = service.bidiStream(requests);
    assert.equal((await stream.next()).done, false);
    isError('invalid-argument', 'INVALID_REQUEST')(await rejection(stream.next()));
    await closed.promise;
  });

  it('an error of the requests cancels a bidirectional stream and is thrown as it is', async () => {
    await using service = await startNoteService({
      bidiStream: async function* (requests) {
        for await (const request of requests) {
          yield request;
        }
      },
    });
    const broken = new RangeError('disk read failed');
    const arrived = deferred();
    const stream = service.bidiStream(
      (async function* (): AsyncGenerator<Note> {
        yield { text: '1' };
        await arrived.promise;
        throw broken;
      })(),
    );
    assert.equal((await stream.next()).done, false);
    arrived.resolve();
    await assert.rejects(stream.next(), (error) => error === broken);
    isError('cancelled', 'CANCELLED')((await service.nextReport()).error);
  });

  it('leaving a bidirectional stream early, or aborting its signal, cancels the call', async () => {
    await using service = await startNoteService({
      bidiStream: async function* (_, { signal }) {
        yield { text: '1' };
        await whenAborted(signal);
        throw abortError(signal);
      },
    });
    const endless = (async function* (): AsyncGenerator<Note> {
      await new Promise(() => undefined);
      yield { text: '' };
    })();
    for await (const _ of service.bidiStream(endless)) {
      break;
    }
    isError('cancelled', 'CANCELLED')((await service.nextReport()).error);

    const controller = new AbortController();
    const reason = new ServiceError('deadline-exceeded', 'DEADLINE_EXCEEDED', 'x');
    const stream = service.bidiStream([{ text: '1' }], { signal: controller.signal });
    assert.equal((await stream.next()).done, false);
    controller.abort(reason);
    assert.equal(await rejection(stream.next()), reason);
    assert.equal(await rejection(service.bidiStream([], { signal: controller.signal }).next()), reason);
  });
});
