import {
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  credentials,
  Metadata,
  Server,
  ServerCredentials,
  type ServiceDefinition,
} from '@grpc/grpc-js';
import type { CallOptions } from '../../proto/wire/calls.ts';
import { callBidiStream, callClientStream, callServerStream, callUnary } from '../../proto/wire/calls.ts';
import type { ServiceError } from '../../proto/wire/errors.ts';
import { type CallContext, type CallReport, createHandlers } from '../../proto/wire/handlers.ts';
import { reportQueue } from './report-queue.ts';

export interface Note {
  readonly text: string;
}

/** What the service under test does; what is left out answers UNIMPLEMENTED. */
export interface NoteHandlers {
  readonly unary?: (request: Note, context: CallContext) => Promise<Note>;
  readonly serverStream?: (request: Note, context: CallContext) => AsyncIterable<Note>;
  readonly clientStream?: (requests: AsyncIterable<Note>, context: CallContext) => Promise<Note>;
  readonly bidiStream?: (requests: AsyncIterable<Note>, context: CallContext) => AsyncIterable<Note>;
}

const write = (note: Note): Buffer => Buffer.from(JSON.stringify(note));
const read = (bytes: Buffer): Note => ({ text: String(Object(JSON.parse(bytes.toString())).text) });
const method = (path: string, requestStream: boolean, responseStream: boolean): ServiceDefinition[string] => ({
  path,
  requestStream,
  responseStream,
  requestSerialize: write,
  requestDeserialize: read,
  responseSerialize: write,
  responseDeserialize: read,
});

const PATHS = { unary: '/test.Notes/Unary', serverStream: '/test.Notes/ServerStream', clientStream: '/test.Notes/ClientStream' };
const BIDI = '/test.Notes/BidiStream';

/** A real grpc-js server on a free port over the handlers of proto/wire, with its client. */
export interface NoteService {
  unary(request: Note, options?: CallOptions): Promise<Note>;
  serverStream(request: Note, options?: CallOptions): AsyncGenerator<Note>;
  clientStream(requests: AsyncIterable<Note> | Iterable<Note>, options?: CallOptions): Promise<Note>;
  bidiStream(requests: AsyncIterable<Note> | Iterable<Note>, options?: CallOptions): AsyncGenerator<Note>;
  readonly address: string;
  readonly client: Client;
  /** A unary call on the bare client, with the header that came back. */
  rawUnary(metadata: Metadata): Promise<{ header: Metadata }>;
  rawServerStream(): ClientReadableStream<Note>;
  rawBidi(): ClientDuplexStream<Note, Note>;
  /** Every report so far. */
  readonly reports: readonly CallReport[];
  /** The next report that no one awaited yet. */
  nextReport(): Promise<CallReport>;
  readonly shutdown: AbortController;
  abortCalls(reason: ServiceError): void;
  [Symbol.asyncDispose](): Promise<void>;
}

export async function startNoteService(handlers: NoteHandlers): Promise<NoteService> {
  const server = new Server();
  const shutdown = new AbortController();
  const queue = reportQueue();
  const wire = createHandlers({ shutdown: shutdown.signal, report: (call) => queue.report(call) });
  server.addService(
    {
      unary: method(PATHS.unary, false, false),
      serverStream: method(PATHS.serverStream, false, true),
      clientStream: method(PATHS.clientStream, true, false),
      bidiStream: method(BIDI, true, true),
    },
    {
      ...(handlers.unary && { unary: wire.unary(handlers.unary) }),
      ...(handlers.serverStream && { serverStream: wire.serverStream(handlers.serverStream) }),
      ...(handlers.clientStream && { clientStream: wire.clientStream(handlers.clientStream) }),
      ...(handlers.bidiStream && { bidiStream: wire.bidiStream(handlers.bidiStream) }),
    },
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  const address = `127.0.0.1:${port}`;
  const client = new Client(address, credentials.createInsecure());
  return {
    address,
    client,
    shutdown,
    abortCalls: wire.abortCalls,
    reports: queue.reports,
    nextReport: () => queue.next(),
    unary: (request, options) =>
      callUnary<Note, Note>(
        (q, m, o, done) => client.makeUnaryRequest(PATHS.unary, write, read, q, m, o, (e, r) => done(e, r ?? { text: '' })),
        request,
        options,
      ),
    serverStream: (request, options) =>
      callServerStream<Note, Note>(
        (q, m, o) => client.makeServerStreamRequest(PATHS.serverStream, write, read, q, m, o),
        request,
        options,
      ),
    clientStream: (requests, options) =>
      callClientStream<Note, Note>(
        (m, o, done) =>
          client.makeClientStreamRequest(PATHS.clientStream, write, read, m, o, (e, r) => done(e, r ?? { text: '' })),
        requests,
        options,
      ),
    bidiStream: (requests, options) =>
      callBidiStream<Note, Note>((m, o) => client.makeBidiStreamRequest(BIDI, write, read, m, o), requests, options),
    rawUnary: (metadata) =>
      new Promise((resolve, reject) => {
        let header = new Metadata();
        const call = client.makeUnaryRequest(PATHS.unary, write, read, { text: '' }, metadata, {}, (error) =>
          error === null ? resolve({ header }) : reject(error),
        );
        call.on('metadata', (received: Metadata) => {
          header = received;
        });
      }),
    rawServerStream: () => client.makeServerStreamRequest(PATHS.serverStream, write, read, { text: '' }, new Metadata(), {}),
    rawBidi: () => client.makeBidiStreamRequest(BIDI, write, read, new Metadata(), {}),
    [Symbol.asyncDispose]: async () => {
      client.close();
      server.forceShutdown();
    },
  };
}

export async function forEachNote(notes: AsyncIterable<Note>, use: (note: Note) => void): Promise<void> {
  for await (const note of notes) {
    use(note);
  }
}
