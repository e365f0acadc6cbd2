import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:http2';
import { describe, it } from 'node:test';
import { Client, credentials, type ServiceError as GrpcError, Metadata, status } from '@grpc/grpc-js';
import { type Logger, pino } from 'pino';
import {
  MAX_CALLS_PER_CONNECTION,
  type RunningServer,
  type ServedService,
  type ServeSettings,
  serve,
} from '../../../infra/process/serve.ts';
import { RegistryServiceService } from '../../../proto/gen/maskterial/registry/v1/registry_service.ts';
import { abortError, invalid, ServiceError } from '../../../proto/wire/errors.ts';
import { type CallContext, createHandlers } from '../../../proto/wire/handlers.ts';
import { fromGrpcError } from '../../../proto/wire/status.ts';
import { deferred, whenAborted } from '../../support/deferred.ts';
import { eventually, manyTurns } from '../../support/eventually.ts';
import { isError, rejection } from '../../support/service-errors.ts';

const NAME = 'maskterial.registry.v1.RegistryService';
const GET_MODEL = `/${NAME}/GetModel`;
const logger = pino({ level: 'silent' });
/** Longer than an aborted call gets for its last words. */
const LONG_MS = 10_000;
const SETTINGS: ServeSettings = { host: '127.0.0.1', port: 0, maxReceiveBytes: 1024, graceMs: 600_000 };

describe('serve', () => {
  it('lists its services by reflection and describes them', async () => {
    await using running = await start({});
    // ServerReflectionRequest: list_services = 7, file_containing_symbol = 4.
    const list = await running.reflect(Buffer.concat([Buffer.from([0x3a, 1]), Buffer.from('*')]));
    assert.equal(list.includes(NAME), true);
    const file = await running.reflect(Buffer.concat([Buffer.from([0x22, NAME.length]), Buffer.from(NAME)]));
    assert.equal(file.includes('maskterial/registry/v1/registry_service.proto') && file.includes('GetModelRequest'), true);
  });

  it('describes what errors carry by reflection, which no service names', async () => {
    await using running = await start({});
    for (const message of ['ErrorInfo', 'BadRequest', 'RetryInfo']) {
      const symbol = Buffer.from(`google.rpc.${message}`);
      const file = await running.reflect(Buffer.concat([Buffer.from([0x22, symbol.length]), symbol]));
      assert.equal(file.includes('google/rpc/error_details.proto') && file.includes('field_violations'), true, message);
    }
  });

  it('calls in hand finish at shutdown; new ones are refused', async () => {
    const started = deferred();
    const held = deferred();
    await using running = await start({
      call: async () => {
        started.resolve();
        await held.promise;
      },
    });
    const call = running.getModel();
    await started.promise;
    const stopped = running.server.stop();
    assert.equal(running.shutdown.signal.aborted, true);
    held.resolve();
    await call;
    await stopped;
    await assert.rejects(running.getModel(), { code: status.UNAVAILABLE });
  });

  it('stop is idempotent: every caller waits for the same end', async () => {
    const started = deferred();
    const held = deferred();
    await using running = await start({
      call: async () => {
        started.resolve();
        await held.promise;
      },
    });
    const call = running.getModel();
    await started.promise;
    const first = running.server.stop();
    assert.equal(running.server.stop(), first);
    held.resolve();
    await Promise.all([call, first]);
    await running.server.stop();
  });

  it('calls that do not finish within the grace period are aborted, and their callers told why', async (t) => {
    const started = deferred();
    const reason = deferred<unknown>();
    const signals: AbortSignal[] = [];
    await using running = await start({
      call: async ({ signal }) => {
        signals.push(signal);
        started.resolve();
        reason.resolve(await whenAborted(signal));
        throw abortError(signal);
      },
    });
    const call = failure(running.getModel());
    await started.promise;
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const stopped = running.server.stop();
    t.mock.timers.tick(SETTINGS.graceMs - 1);
    await manyTurns();
    assert.deepEqual(
      signals.map(({ aborted }) => aborted),
      [false],
    );
    t.mock.timers.tick(1);
    isError('unavailable', 'SHUTTING_DOWN')(await reason.promise);
    isError('unavailable', 'SHUTTING_DOWN')(fromGrpcError(await call));
    await stopped;
  });

  it('calls that hear nothing are cut', async (t) => {
    const started = deferred();
    await using running = await start({
      call: async () => {
        started.resolve();
        await new Promise(() => undefined);
      },
    });
    const call = failure(running.getModel());
    await started.promise;
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const stopped = running.server.stop();
    t.mock.timers.tick(SETTINGS.graceMs);
    t.mock.timers.tick(LONG_MS);
    await call;
    await stopped;
  });

  it('an address in use is a clear error', async () => {
    await using running = await start({});
    const port = Number(running.server.address.split(':')[1]);
    const error = await rejection(serve([], new AbortController(), { ...SETTINGS, port }, logger));
    isError('failed-precondition', 'CANNOT_LISTEN')(error);
    const { address } = running.server;
    assert.equal(error.message, `cannot listen on ${address}: EADDRINUSE: address already in use ${address}`);
  });

  it('tells a client how many calls at once it may make on one connection', async () => {
    await using running = await start({});
    const session = connect(`http://${running.server.address}`);
    const [settings] = await once(session, 'remoteSettings');
    assert.equal(settings.maxConcurrentStreams, MAX_CALLS_PER_CONNECTION);
    session.destroy();
  });

  it('calls beyond that wait for their turn', async () => {
    const held = deferred();
    let begun = 0;
    await using running = await start({
      call: async () => {
        begun += 1;
        await held.promise;
      },
    });
    const calls = Array.from({ length: MAX_CALLS_PER_CONNECTION + 1 }, () => running.getModel());
    await eventually(() => begun === MAX_CALLS_PER_CONNECTION);
    await manyTurns();
    assert.equal(begun, MAX_CALLS_PER_CONNECTION);
    held.resolve();
    await Promise.all(calls);
    assert.equal(begun, MAX_CALLS_PER_CONNECTION + 1);
  });

  it('a message over the limit is refused', async () => {
    await using running = await start({});
    // Not RESOURCE_EXHAUSTED, the library's own answer: clients would send it again and again.
    isError('invalid-argument', 'MESSAGE_TOO_LARGE')(fromGrpcError(await failure(running.getModel('x'.repeat(2000)))));
  });

  it('bytes that are no message are refused with a reason', async () => {
    await using running = await start({});
    const error = await failure(running.send(GET_MODEL, Buffer.from('ffffffffff', 'hex')));
    isError('invalid-argument', 'MALFORMED_MESSAGE')(fromGrpcError(error));
  });

  it('a call that is refused is answered and closed before its message is there, and told in the log', async () => {
    const lines: string[] = [];
    let calls = 0;
    const call = async (): Promise<void> => void (calls += 1);
    const refusal = (path: string) =>
      path === GET_MODEL
        ? new ServiceError('resource-exhausted', 'QUEUE_FULL', 'too many are here', { retryDelayMs: 70 })
        : undefined;
    const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) });
    await using running = await start({ call, refusal, log });
    const session = connect(`http://${running.server.address}`);
    const stream = session.request({
      ':method': 'POST',
      ':path': GET_MODEL,
      'content-type': 'application/grpc',
      'x-request-id': 'mine',
      te: 'trailers',
    });
    const [[header]] = await Promise.all([once(stream, 'response'), once(stream.resume(), 'close')]);
    session.close();
    assert.deepEqual([header['x-request-id'], header['grpc-status'], stream.rstCode, calls], ['mine', '8', 0, 0]);
    const told = lines.map((line) => JSON.parse(line)).find(({ method }) => method === GET_MODEL);
    assert.deepEqual([told?.requestId, told?.code, told?.reason], ['mine', 'RESOURCE_EXHAUSTED', 'QUEUE_FULL']);
    const error = fromGrpcError(await failure(running.getModel()));
    isError('resource-exhausted', 'QUEUE_FULL')(error);
    assert.equal(error.retryDelayMs, 70);
  });

  it('an error with a hundred thousand violations arrives, shortened', async () => {
    const violations = Array.from({ length: 100_000 }, (_, index) => ({ field: `labels.K${index}`, description: 'bad key' }));
    await using running = await start({
      call: async () => {
        throw invalid(violations);
      },
    });
    const error = fromGrpcError(await failure(running.getModel()));
    isError('invalid-argument', 'INVALID_REQUEST')(error);
    assert.equal(error.violations[0]?.field, 'labels.K0');
  });
});

interface Running extends AsyncDisposable {
  readonly server: RunningServer;
  readonly shutdown: AbortController;
  reflect(request: Buffer): Promise<Buffer>;
  getModel(name?: string): Promise<number>;
  /** Sends these bytes as they are. */
  send(path: string, request: Buffer): Promise<number>;
}

/** One service on a free port, whose only method does what `call` says. */
interface StartOptions {
  readonly call?: (context: CallContext) => Promise<void>;
  readonly refusal?: (path: string) => ServiceError | undefined;
  readonly log?: Logger;
}

async function start(options: StartOptions): Promise<Running> {
  const shutdown = new AbortController();
  const handlers = createHandlers({ shutdown: shutdown.signal, report: () => undefined });
  const { getModel } = RegistryServiceService;
  const service: ServedService = {
    name: NAME,
    definition: { getModel },
    implementation: {
      getModel: handlers.unary(async (_, context) => {
        await options.call?.(context);
        return { model: undefined };
      }),
    },
    isReady: true,
    abortCalls: handlers.abortCalls,
    ...(options.refusal && { refusal: options.refusal }),
  };
  const server = await serve([service], shutdown, SETTINGS, options.log ?? logger);
  const client = new Client(server.address, credentials.createInsecure());
  const unary = <T>(path: string, request: Buffer, read: (bytes: Buffer) => T): Promise<T> =>
    new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        path,
        (bytes: Buffer) => bytes,
        read,
        request,
        new Metadata(),
        {},
        (error, response) => {
          if (error === null && response !== undefined) {
            resolve(response);
          } else {
            reject(error ?? new Error('no answer'));
          }
        },
      );
    });
  return {
    server,
    shutdown,
    reflect: async (request) => {
      const path = '/grpc.reflection.v1.ServerReflection/ServerReflectionInfo';
      const stream = client.makeBidiStreamRequest(
        path,
        (bytes: Buffer) => bytes,
        (bytes) => bytes,
        new Metadata(),
        {},
      );
      stream.end(request);
      const [response] = await stream.toArray();
      return response ?? Buffer.alloc(0);
    },
    getModel: (name = 'M') => unary(GET_MODEL, getModel.requestSerialize({ name }), (bytes) => bytes.byteLength),
    send: (path, request) => unary(path, request, (bytes) => bytes.byteLength),
    [Symbol.asyncDispose]: async () => {
      client.close();
      await server.stop();
    },
  };
}

/** The error of the library's client that `call` ended with. */
async function failure(call: Promise<unknown>): Promise<GrpcError> {
  const error: unknown = await call.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  assert.ok(isGrpcError(error), 'it did not fail');
  return error;
}

function isGrpcError(error: unknown): error is GrpcError {
  return error instanceof Error && 'code' in error && 'metadata' in error;
}
