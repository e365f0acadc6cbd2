import assert from 'node:assert/strict';
import { test } from 'node:test';
import { StreamRoom } from '../../../inference/pipeline/stream-room.ts';
import { ServiceError } from '../../../proto/wire/errors.ts';
import { manyTurns } from '../../support/eventually.ts';
import { ImageStreamBench } from '../../support/image-stream-bench.ts';
import { isError, rejection } from '../../support/service-errors.ts';

const SETTINGS = { maxImagesAtOnce: 3, maxImageBytes: 10 };

function texts({ works }: ImageStreamBench): readonly string[] {
  return works.map(({ text }) => text);
}

test('streams that hold what there is room for begin no more until one image is done', async (t) => {
  const room = new StreamRoom(10);
  const one = new ImageStreamBench(t, SETTINGS, room);
  const other = new ImageStreamBench(t, SETTINGS, room);
  const reading = [one.read(), other.read()];
  one.send('123456', 'second');
  await one.work('second');
  assert.equal(room.heldBytes, 12);
  one.send('third');
  other.send('a', 'b');
  await other.work('a');
  await manyTurns();
  assert.deepEqual([texts(one), texts(other), room.heldBytes], [['123456', 'second'], ['a'], 13]);
  await one.finish('123456');
  await one.work('third');
  await one.finish('second');
  await other.work('b');
  one.commands.end();
  other.commands.end();
  await one.finish('third');
  await other.finish('a', 'b');
  await Promise.all(reading);
  assert.equal(room.heldBytes, 0);
});

test('a stream that does not read its results keeps no other one from its work', async (t) => {
  const room = new StreamRoom(10);
  const silent = new ImageStreamBench(t, SETTINGS, room);
  silent.send('12345', '67890', 'more');
  await silent.events.next();
  await silent.finish('12345', '67890');
  await manyTurns();
  assert.equal(room.heldBytes, 10);
  const other = new ImageStreamBench(t, SETTINGS, room);
  const reading = other.read();
  other.send('a', 'b', 'c');
  other.commands.end();
  await other.finish('a', 'b', 'c');
  assert.equal((await reading).length, 6);
});

test('failed, cancelled, cut-off and aborted images give back what they held', async (t) => {
  const room = new StreamRoom(100);
  const bench = new ImageStreamBench(t, SETTINGS, room);
  const reading = bench.read();
  bench.send('bad', 'gone');
  (await bench.work('bad')).outcome.reject(new ServiceError('invalid-argument', 'UNDECODABLE_IMAGE', 'x'));
  bench.cancel('gone');
  bench.begin('large');
  bench.chunk('123456789');
  bench.chunk('0123');
  await bench.untilTold('bad UNDECODABLE_IMAGE', 'gone CANCELLED', 'large IMAGE_TOO_LARGE');
  assert.equal(room.heldBytes, 0);
  bench.end();
  bench.begin('cut');
  bench.chunk('off');
  bench.commands.end();
  await reading;
  assert.equal(room.heldBytes, 0);

  const aborted = new ImageStreamBench(t, SETTINGS, room);
  const ending = rejection(aborted.read());
  aborted.send('a');
  aborted.begin('half');
  aborted.chunk('ha');
  await aborted.work('a');
  await manyTurns();
  assert.equal(room.heldBytes, 3);
  aborted.call.abort(new ServiceError('cancelled', 'CANCELLED', 'x'));
  await ending;
  assert.equal(room.heldBytes, 0);
});

test('an image that waits for room is refused at a shutdown and fails with an aborted call', async (t) => {
  const room = new StreamRoom(1);
  const stopping = new ImageStreamBench(t, SETTINGS, room);
  const stopped = rejection(stopping.read());
  stopping.send('a', 'b');
  await stopping.work('a');
  await manyTurns();
  stopping.shutdown.abort();
  await stopping.untilTold('b SHUTTING_DOWN');
  await stopping.finish('a');
  isError('unavailable', 'SHUTTING_DOWN')(await stopped);

  const calling = new ImageStreamBench(t, SETTINGS, room);
  const called = rejection(calling.read());
  calling.send('a', 'b');
  await calling.work('a');
  await manyTurns();
  calling.call.abort(new ServiceError('deadline-exceeded', 'DEADLINE_EXCEEDED', 'too late'));
  isError('deadline-exceeded', 'DEADLINE_EXCEEDED')(await called);
  assert.equal(room.heldBytes, 0);
});
