import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { lastingPort } from './lasting-port.ts';

/** Offers these first. */
function offering(...ports: number[]): () => number {
  return () => ports.shift() ?? randomInt(20_000, 30_000);
}

test('a port that somebody listens on is passed over', async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  assert.notEqual(await lastingPort(offering(address.port)), address.port);
});

test('a port is given once, also while nobody listens on it', async () => {
  const port = await lastingPort();
  assert.notEqual(await lastingPort(offering(port)), port);
});
