import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Notice } from '../../../inference/rollout/notice.ts';
import { ServiceError } from '../../../proto/wire/errors.ts';
import { isError } from '../../support/service-errors.ts';

const never = new AbortController().signal;

test('wakes everyone who waits, once', async () => {
  const notice = new Notice();
  const waits = Promise.all([notice.wait(never), notice.wait(never, 1e9)]);
  notice.notify();
  await waits;
});

test('a notice before the wait is not remembered', async () => {
  const notice = new Notice();
  notice.notify();
  let isAwake = false;
  const wait = notice.wait(never).then(() => {
    isAwake = true;
  });
  await Promise.resolve();
  assert.equal(isAwake, false);
  notice.notify();
  await wait;
});

test('a time-out wakes too', async () => {
  await new Notice().wait(never, 0);
});

test('an abort ends the wait with its reason, before or during it', async () => {
  const notice = new Notice();
  const controller = new AbortController();
  const waiting = notice.wait(controller.signal);
  controller.abort(new ServiceError('unavailable', 'SHUTTING_DOWN', 'down'));
  await assert.rejects(waiting, isError('unavailable', 'SHUTTING_DOWN'));
  await assert.rejects(notice.wait(controller.signal), isError('unavailable', 'SHUTTING_DOWN'));
});

test('leaves no listener and no timer behind', async () => {
  const notice = new Notice();
  const { signal } = new AbortController();
  let listeners = 0;
  const counting = new Proxy(signal, {
    get: (target, name) => {
      if (name === 'addEventListener') return () => (listeners += 1);
      if (name === 'removeEventListener') return () => (listeners -= 1);
      return Reflect.get(target, name) as unknown;
    },
  });
  const waits = [notice.wait(counting, 1e9), notice.wait(counting)];
  assert.equal(listeners, 2);
  notice.notify();
  await Promise.all(waits);
  assert.equal(listeners, 0);
});
