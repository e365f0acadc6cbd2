import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { it } from 'node:test';
import { ServiceError } from '../../../proto/wire/errors.ts';
import { readIncoming } from '../../../proto/wire/incoming.ts';
import { fromGrpcError } from '../../../proto/wire/status.ts';
import { manyTurns } from '../../support/eventually.ts';
import { isError, rejection } from '../../support/service-errors.ts';
import { startNoteService } from '../../support/wire-service.ts';

const never = new AbortController().signal;

it('gives every message in turn, and ends with the stream', async () => {
  const seen: unknown[] = [];
  for await (const message of readIncoming<number>(Readable.from([1, 2, 3]), never)) {
    seen.push(message);
  }
  assert.deepEqual(seen, [1, 2, 3]);
});

it('no more than one message is read ahead of a slow reader', async () => {
  let produced = 0;
  const source = new Readable({
    objectMode: true,
    read() {
      produced += 1;
      setImmediate(() => this.push(produced));
    },
  });
  const messages = readIncoming<number>(source, never);
  for (let taken = 1; taken <= 20; taken += 1) {
    assert.equal((await messages.next()).value, taken);
    await manyTurns();
    assert.ok(produced <= taken + 1, `${produced} were read when ${taken} were taken`);
  }
  source.destroy();
});

it('who waits for a message is woken by an abort, and nothing is left listening', async () => {
  const source = new Readable({ objectMode: true, read: () => undefined });
  const call = new AbortController();
  const waiting = rejection(readIncoming(source, call.signal).next());
  await manyTurns();
  call.abort(new ServiceError('deadline-exceeded', 'DEADLINE_EXCEEDED', 'too late'));
  isError('deadline-exceeded', 'DEADLINE_EXCEEDED')(await waiting);
  assert.deepEqual([source.listenerCount('readable'), source.listenerCount('end')], [0, 0]);
});

it('an error of the call is not an error of its messages', async () => {
  const source = new Readable({ objectMode: true, read: () => undefined }).on('error', () => undefined);
  const waiting = readIncoming(source, never).next();
  await manyTurns();
  source.emit('error', new Error('the status of the call'));
  await manyTurns();
  assert.equal(source.destroyed, false);
  source.push('message');
  assert.equal((await waiting).value, 'message');
});

it('a stream that fails while it waits for a request: its last answer and its status arrive, and the client never ends it', async () => {
  await using service = await startNoteService({
    bidiStream: async function* (requests) {
      const source = requests[Symbol.asyncIterator]();
      await source.next();
      source.next().catch(() => undefined);
      yield { text: 'last' };
      throw new ServiceError('unavailable', 'SHUTTING_DOWN', 'x');
    },
  });
  const stream = service.rawBidi();
  const seen: unknown[] = [];
  stream.on('data', (note) => seen.push(note));
  const failed = once(stream, 'error');
  stream.write({ text: 'first' });
  const [error] = await failed;
  assert.deepEqual(seen, [{ text: 'last' }]);
  isError('unavailable', 'SHUTTING_DOWN')(fromGrpcError(error));
});
