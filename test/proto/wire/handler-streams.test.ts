import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it } from 'node:test';
import { abortError, ServiceError } from '../../../proto/wire/errors.ts';
import { deferred, whenAborted } from '../../support/deferred.ts';
import { isError, rejection } from '../../support/service-errors.ts';
import { forEachNote, type Note, startNoteService } from '../../support/wire-service.ts';

describe('handlers', () => {
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
      forEachNote(service.serverStream({ text: '' }), () =>
        service.shutdown.abort(new ServiceError('unavailable', 'SHUTTING_DOWN', 'x')),
      ),
    );
    isError('unavailable', 'SHUTTING_DOWN')(error);
  });
});

function* endless(text: string): Generator<Note> {
  for (;;) {
    yield { text };
  }
}

async function* oneThenWait(): AsyncGenerator<Note> {
  yield { text: '' };
  await new Promise(() => undefined);
}
