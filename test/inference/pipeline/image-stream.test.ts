import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ServiceError } from '../../../proto/wire/errors.ts';
import { manyTurns } from '../../support/eventually.ts';
import { ImageStreamBench } from '../../support/image-stream-bench.ts';
import { hasViolationAt, isError, rejection } from '../../support/service-errors.ts';

test('results come in order of completion, each under its id; the stream ends after the last', async (t) => {
  const bench = new ImageStreamBench(t);
  const reading = bench.read();
  bench.send('a', 'b', 'c');
  bench.commands.end();
  await bench.finish('b');
  await bench.untilTold('b done', 'c began');
  await bench.finish('a', 'c');
  assert.deepEqual(await reading, ['a began', 'b began', 'b done', 'c began', 'a done', 'c done']);
});

test('an image is put together from its chunks, empty ones too', async (t) => {
  const bench = new ImageStreamBench(t);
  const reading = bench.read();
  bench.begin('a');
  for (const piece of ['12', '', '3', '4567']) {
    bench.chunk(piece);
  }
  bench.end();
  bench.commands.end();
  await bench.finish('1234567');
  assert.deepEqual(await reading, ['a began', 'a done']);
});

test('an image fails alone, with what its work threw', async (t) => {
  const bench = new ImageStreamBench(t);
  const reading = bench.read();
  bench.send('bad', 'good');
  bench.commands.end();
  (await bench.work('bad')).outcome.reject(new ServiceError('invalid-argument', 'UNDECODABLE_IMAGE', 'x'));
  await bench.finish('good');
  assert.deepEqual((await reading).toSorted(), ['bad UNDECODABLE_IMAGE', 'bad began', 'good began', 'good done']);
});

test('with all slots taken one further image is read and no more', async (t) => {
  const bench = new ImageStreamBench(t);
  const reading = bench.read();
  bench.send('a', 'b', 'c', 'd', 'e');
  bench.commands.end();
  await bench.work('b');
  await manyTurns();
  // Three images of three commands, and the begin of the fourth.
  assert.deepEqual([bench.works.length, bench.asked], [2, 10]);
  await bench.finish('a');
  await bench.work('c');
  await manyTurns();
  assert.deepEqual([bench.works.length, bench.asked], [3, 13]);
  await bench.finish('b', 'c', 'd', 'e');
  assert.equal((await reading).length, 10);
});

test('results that no one takes keep new images from starting', async (t) => {
  const bench = new ImageStreamBench(t);
  bench.send('a', 'b', 'c', 'd');
  bench.commands.end();
  assert.equal((await bench.events.next()).done, false);
  await bench.finish('a', 'b');
  await manyTurns();
  assert.deepEqual([bench.works.length, bench.asked], [2, 10]);
  const reading = bench.read();
  await bench.finish('c', 'd');
  assert.equal((await reading).length, 7);
});

test('a cancelled image: in work, waiting, and half sent; the others go on', async (t) => {
  const bench = new ImageStreamBench(t);
  const reading = bench.read();
  bench.send('a', 'b', 'waiting');
  bench.cancel('waiting');
  await bench.untilTold('waiting CANCELLED');
  bench.cancel('a');
  await bench.untilTold('a CANCELLED');
  assert.equal((await bench.work('a')).signal.aborted, true);
  bench.begin('half');
  bench.chunk('ha');
  bench.cancel('half');
  bench.chunk('lf');
  bench.send('c');
  bench.cancel('never-seen');
  bench.commands.end();
  await bench.finish('b', 'c');
  await reading;
  assert.deepEqual(
    bench.works.map(({ text }) => text),
    ['a', 'b', 'c'],
  );
  assert.deepEqual(bench.told.filter((line) => !line.endsWith('began')).toSorted(), [
    'a CANCELLED',
    'b done',
    'c done',
    'half CANCELLED',
    'waiting CANCELLED',
  ]);
});

test('a result that waits to be taken is not given any more once its image is cancelled', async (t) => {
  const bench = new ImageStreamBench(t);
  bench.send('a');
  assert.equal((await bench.events.next()).done, false);
  await bench.finish('a');
  await manyTurns();
  bench.cancel('a');
  bench.commands.end();
  await manyTurns();
  assert.deepEqual(await bench.read(), ['a CANCELLED']);
});

test('an id in use is refused and its chunks are dropped; after its last event it is free', async (t) => {
  const bench = new ImageStreamBench(t);
  const reading = bench.read();
  bench.send('a');
  await bench.work('a');
  bench.begin('a');
  bench.chunk('again');
  bench.end();
  await bench.untilTold('a INVALID_REQUEST');
  await bench.finish('a');
  await bench.untilTold('a done');
  bench.send('a');
  bench.commands.end();
  await bench.untilTold('a began');
  await manyTurns();
  await bench.finish('a');
  assert.deepEqual(await reading, ['a began', 'a INVALID_REQUEST', 'a done', 'a began', 'a done']);
});

for (const [what, field, spoil] of [
  ['a chunk without a begin', 'chunk', (bench: ImageStreamBench) => bench.chunk('x')],
  ['an end without a begin', 'end', (bench: ImageStreamBench) => bench.end()],
  ['an empty id', 'begin.image_id', (bench: ImageStreamBench) => bench.begin('')],
  ['an id of 201 bytes', 'begin.image_id', (bench: ImageStreamBench) => bench.begin(`${'ä'.repeat(100)}x`)],
  ['a cancel of an empty id', 'cancel.image_id', (bench: ImageStreamBench) => bench.cancel('')],
  [
    'a begin within an image',
    'begin',
    (bench: ImageStreamBench) => {
      bench.begin('b');
      bench.begin('c');
    },
  ],
] as const) {
  test(`${what} ends the stream and the work on it`, async (t) => {
    const bench = new ImageStreamBench(t);
    const reading = bench.read();
    bench.send('a');
    const { signal } = await bench.work('a');
    spoil(bench);
    await assert.rejects(reading, hasViolationAt('INVALID_REQUEST', field));
    assert.equal(signal.aborted, true);
  });
}

test('an id of 200 bytes is one', async (t) => {
  const bench = new ImageStreamBench(t);
  const reading = bench.read();
  bench.begin('ä'.repeat(100));
  bench.chunk('x');
  bench.end();
  bench.commands.end();
  await bench.finish('x');
  assert.equal((await reading).length, 2);
});

test('an image over the limit fails when the limit is passed; the rest of it is dropped', async (t) => {
  const bench = new ImageStreamBench(t);
  const reading = bench.read();
  bench.begin('large');
  bench.chunk('12345678');
  bench.chunk('901');
  await bench.untilTold('large IMAGE_TOO_LARGE');
  bench.chunk('more');
  bench.end();
  bench.send('ten bytes!');
  bench.commands.end();
  await bench.finish('ten bytes!');
  assert.deepEqual(await reading, ['large IMAGE_TOO_LARGE', 'ten bytes! began', 'ten bytes! done']);
});

test('an image that the end of the stream cuts off fails; the others are answered', async (t) => {
  const bench = new ImageStreamBench(t);
  const reading = bench.read();
  bench.send('a');
  bench.begin('half');
  bench.commands.end();
  await bench.untilTold('half INVALID_REQUEST');
  await bench.finish('a');
  assert.equal((await reading).at(-1), 'a done');
});

test('shutdown: whole images finish; one half sent and a new one are refused; then the stream ends', async (t) => {
  const bench = new ImageStreamBench(t);
  const reading = rejection(bench.read());
  bench.send('a', 'b', 'waiting');
  bench.begin('half sent');
  await bench.work('b');
  await bench.finish('a');
  await bench.work('waiting');
  bench.chunk('ha');
  await manyTurns();
  bench.shutdown.abort();
  await bench.untilTold('half sent SHUTTING_DOWN');
  bench.chunk('lf');
  bench.end();
  bench.send('late');
  await bench.untilTold('late SHUTTING_DOWN');
  await bench.finish('b', 'waiting');
  isError('unavailable', 'SHUTTING_DOWN')(await reading);
  assert.deepEqual(bench.told.filter((line) => line.endsWith('done')).toSorted(), ['a done', 'b done', 'waiting done']);
});

test('shutdown does not wait for the rest of an image, nor for the end of the commands', async (t) => {
  const bench = new ImageStreamBench(t);
  const reading = rejection(bench.read());
  bench.begin('half sent');
  bench.chunk('ha');
  await manyTurns();
  bench.shutdown.abort();
  isError('unavailable', 'SHUTTING_DOWN')(await reading);
  assert.deepEqual(bench.told, ['half sent SHUTTING_DOWN']);
});

test('shutdown ends a stream without images at once, also one that comes after it', async (t) => {
  const idle = new ImageStreamBench(t);
  const reading = rejection(idle.read());
  await manyTurns();
  idle.shutdown.abort();
  isError('unavailable', 'SHUTTING_DOWN')(await reading);

  const late = new ImageStreamBench(t);
  late.shutdown.abort();
  isError('unavailable', 'SHUTTING_DOWN')(await rejection(late.read()));
});

test('an aborted call aborts every image and ends with its reason', async (t) => {
  const bench = new ImageStreamBench(t);
  const reading = rejection(bench.read());
  bench.send('a', 'b', 'c', 'd');
  const works = [await bench.work('a'), await bench.work('b')];
  bench.call.abort(new ServiceError('deadline-exceeded', 'DEADLINE_EXCEEDED', 'too late'));
  isError('deadline-exceeded', 'DEADLINE_EXCEEDED')(await reading);
  assert.deepEqual(
    works.map(({ signal }) => signal.aborted),
    [true, true],
  );
});

test('who stops reading aborts every image', async (t) => {
  const bench = new ImageStreamBench(t);
  bench.send('a', 'b');
  await bench.events.next();
  const works = [await bench.work('a'), await bench.work('b')];
  await bench.events.return(undefined);
  assert.deepEqual(
    works.map(({ signal }) => signal.aborted),
    [true, true],
  );
});

test('an error of the commands ends the stream', async (t) => {
  const bench = new ImageStreamBench(t);
  const reading = rejection(bench.read());
  bench.send('a');
  await bench.work('a');
  bench.commands.fail(new ServiceError('invalid-argument', 'MALFORMED_MESSAGE', 'x'));
  isError('invalid-argument', 'MALFORMED_MESSAGE')(await reading);
});
