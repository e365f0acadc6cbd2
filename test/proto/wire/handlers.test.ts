import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Metadata } from '@grpc/grpc-js';
import { ServiceError } from '../../../proto/wire/errors.ts';
import { isError, rejection } from '../../support/service-errors.ts';
import { forEachNote, type NoteHandlers, startNoteService } from '../../support/wire-service.ts';

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
            : forEachNote(service.serverStream({ text: '' }), ({ text }) => received.push(text)),
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
