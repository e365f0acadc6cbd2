import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Client, credentials, Metadata } from '@grpc/grpc-js';
import { pino } from 'pino';
import { type RunningServer, serve } from '../../../infra/process/serve.ts';
import { RegistryServiceService } from '../../../proto/gen/maskterial/registry/v1/registry_service.ts';
import { createHandlers } from '../../../proto/wire/handlers.ts';
import { type HealthClient, healthClient, NOT_SERVING, SERVICE_UNKNOWN, SERVING } from '../../support/health-check.ts';
import { isError, rejection } from '../../support/service-errors.ts';

const NAME = 'maskterial.registry.v1.RegistryService';

describe('health', () => {
  it('of the server itself, of a service, of a name that is none', async () => {
    await using running = await start();
    assert.equal(await running.health.check(''), SERVING);
    assert.equal(await running.health.check(NAME), NOT_SERVING);
    running.server.setServing(NAME, true);
    assert.equal(await running.health.check(NAME), SERVING);
    isError('not-found', 'SERVICE_UNKNOWN')(await rejection(running.health.check('other.Service')));
  });

  it('of the parts of a service: the last ones set, and no others', async () => {
    await using running = await start();
    const check = (part: string): Promise<number> => running.health.check(`${NAME}/${part}`);
    const parts = new Map([
      ['a', true],
      ['b', false],
    ]);
    running.server.setParts(NAME, parts);
    assert.deepEqual([await check('a'), await check('b')], [SERVING, NOT_SERVING]);
    running.server.setParts(NAME, new Map([['b', true]]));
    assert.equal(await check('b'), SERVING);
    isError('not-found', 'SERVICE_UNKNOWN')(await rejection(check('a')));
    assert.equal(await running.health.check(''), SERVING);
  });

  it('a watch tells each change once, also of a name that comes and goes', async () => {
    await using running = await start();
    const watch = running.health.watch(`${NAME}/a`);
    const next = async (): Promise<unknown> => (await watch.next()).value;
    assert.equal(await next(), SERVICE_UNKNOWN);
    running.server.setParts(NAME, new Map([['a', false]]));
    assert.equal(await next(), NOT_SERVING);
    running.server.setParts(NAME, new Map([['a', false]]));
    running.server.setServing(NAME, true);
    running.server.setParts(NAME, new Map([['a', true]]));
    assert.equal(await next(), SERVING);
    running.server.setParts(NAME, new Map());
    assert.equal(await next(), SERVICE_UNKNOWN);
    await watch.return(undefined);
  });

  it('at shutdown every watch tells NOT_SERVING and ends; nothing serves again', async () => {
    await using running = await start();
    running.server.setParts(NAME, new Map([['a', true]]));
    const part = running.health.watch(`${NAME}/a`);
    const unknown = running.health.watch('other.Service');
    assert.deepEqual([(await part.next()).value, (await unknown.next()).value], [SERVING, SERVICE_UNKNOWN]);
    const stopped = running.server.stop();
    running.server.setServing(NAME, true);
    running.server.setParts(NAME, new Map([['a', true]]));
    assert.equal((await part.next()).value, NOT_SERVING);
    isError('unavailable', 'SHUTTING_DOWN')(await rejection(part.next()));
    isError('unavailable', 'SHUTTING_DOWN')(await rejection(unknown.next()));
    await stopped;
  });

  it('lists every name', async () => {
    await using running = await start();
    const answer = await new Promise<Buffer>((resolve, reject) => {
      running.client.makeUnaryRequest(
        '/grpc.health.v1.Health/List',
        () => Buffer.alloc(0),
        (bytes) => bytes,
        undefined,
        new Metadata(),
        (error, bytes) => (error === null && bytes !== undefined ? resolve(bytes) : reject(error ?? new Error('no answer'))),
      );
    });
    assert.ok(answer.includes(NAME));
  });
});

interface Running extends AsyncDisposable {
  readonly server: RunningServer;
  readonly health: HealthClient;
  readonly client: Client;
}

/** A server whose one service is not ready. */
async function start(): Promise<Running> {
  const shutdown = new AbortController();
  const handlers = createHandlers({ shutdown: shutdown.signal, report: () => undefined });
  const implementation = { getModel: handlers.unary(async () => ({ model: undefined })) };
  const definition = { getModel: RegistryServiceService.getModel };
  const settings = { host: '127.0.0.1', port: 0, maxReceiveBytes: 1024, graceMs: 600_000 };
  const services = [{ name: NAME, definition, implementation, isReady: false }];
  const server = await serve(services, shutdown, settings, pino({ level: 'silent' }));
  const health = healthClient(server.address);
  const client = new Client(server.address, credentials.createInsecure());
  return {
    server,
    health,
    client,
    [Symbol.asyncDispose]: async () => {
      health[Symbol.dispose]();
      client.close();
      await server.stop();
    },
  };
}
