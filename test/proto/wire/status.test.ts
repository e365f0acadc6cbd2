import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type ServiceError as GrpcError, Metadata, status } from '@grpc/grpc-js';
import { abortError, type ErrorKind, invalid, ServiceError, throwIfAborted } from '../../../proto/wire/errors.ts';
import { codeName, fromGrpcError, fromRpcStatus, toDuration, toGrpcStatus, toRpcStatus } from '../../../proto/wire/status.ts';
import { isError } from '../../support/service-errors.ts';

const CODES: Readonly<Record<ErrorKind, keyof typeof status>> = {
  'invalid-argument': 'INVALID_ARGUMENT',
  'not-found': 'NOT_FOUND',
  'already-exists': 'ALREADY_EXISTS',
  'failed-precondition': 'FAILED_PRECONDITION',
  aborted: 'ABORTED',
  'resource-exhausted': 'RESOURCE_EXHAUSTED',
  unavailable: 'UNAVAILABLE',
  'data-loss': 'DATA_LOSS',
  'deadline-exceeded': 'DEADLINE_EXCEEDED',
  cancelled: 'CANCELLED',
  internal: 'INTERNAL',
};

describe('status', () => {
  for (const kind of Object.keys(CODES).filter((name): name is ErrorKind => name in CODES)) {
    it(`${kind} is ${CODES[kind]} and comes back with everything it carried`, () => {
      const error = new ServiceError(kind, 'REVISION_CONFLICT', 'expected 1, found 2', {
        metadata: { current_revision: '2', model: 'M' },
        violations: [
          { field: 'a.b', description: 'too large' },
          { field: 'c', description: 'missing' },
        ],
        retryDelayMs: 1250.5,
      });
      const sent = toGrpcStatus(error);
      assert.equal(sent.code, status[CODES[kind]]);
      assert.equal(codeName(error), CODES[kind]);
      const received = fromGrpcError(asGrpcError(sent.code, sent.details, sent.metadata));
      for (const field of ['kind', 'reason', 'message', 'metadata', 'violations', 'retryDelayMs'] as const) {
        assert.deepEqual(received[field], error[field], field);
      }
    });
  }

  it('an error without extras comes back without extras', () => {
    const received = fromRpcStatus(toRpcStatus(new ServiceError('not-found', 'MODEL_NOT_FOUND', 'M')));
    assert.deepEqual([received.metadata, received.violations, received.retryDelayMs], [{}, [], undefined]);
  });

  it('invalid() lists its violations', () => {
    const received = fromRpcStatus(toRpcStatus(invalid([{ field: 'a', description: 'b' }])));
    assert.deepEqual(received.violations, [{ field: 'a', description: 'b' }]);
  });

  it('a foreign error is INTERNAL without its text', () => {
    for (const foreign of [new Error('password=hunter2'), 'hunter2', { message: 'hunter2' }, undefined]) {
      const sent = toGrpcStatus(foreign);
      const details = sent.metadata?.get('grpc-status-details-bin')[0];
      assert.equal(sent.code, status.INTERNAL);
      assert.equal(Buffer.isBuffer(details) && details.includes('hunter2'), false);
      assert.equal(sent.details?.includes('hunter2'), false);
      isError('internal', 'INTERNAL')(fromRpcStatus(toRpcStatus(foreign)));
    }
  });

  it('a reason of a later release comes back as it is', () => {
    assert.equal(fromRpcStatus(toRpcStatus(new ServiceError('not-found', 'NEW_REASON', ''))).reason, 'NEW_REASON');
  });

  it('details of unknown types are passed over', () => {
    const rpcStatus = toRpcStatus(new ServiceError('aborted', 'REVISION_CONFLICT', 'x'));
    const help = { typeUrl: 'type.googleapis.com/google.rpc.Help', value: Buffer.from([1, 2, 3]) };
    isError('aborted', 'REVISION_CONFLICT')(fromRpcStatus({ ...rpcStatus, details: [help, ...rpcStatus.details] }));
  });

  const plain: readonly (readonly [status, ErrorKind, string])[] = [
    [status.UNAVAILABLE, 'unavailable', 'UNAVAILABLE'],
    [status.RESOURCE_EXHAUSTED, 'resource-exhausted', 'RESOURCE_EXHAUSTED'],
    [status.UNIMPLEMENTED, 'internal', 'UNIMPLEMENTED'],
    [status.UNKNOWN, 'internal', 'UNKNOWN'],
    [status.PERMISSION_DENIED, 'internal', 'PERMISSION_DENIED'],
  ];
  for (const [code, kind, reason] of plain) {
    it(`${status[code]} without details is ${kind}`, () => {
      const received = fromGrpcError(asGrpcError(code, 'no route', new Metadata()));
      assert.deepEqual([received.kind, received.reason, received.message], [kind, reason, 'no route']);
    });
  }

  it('details that cannot be read leave the code and the text', () => {
    const metadata = new Metadata();
    metadata.set('grpc-status-details-bin', Buffer.from([0xff, 0xff, 0xff]));
    const received = fromGrpcError(asGrpcError(status.NOT_FOUND, 'gone', metadata));
    assert.deepEqual([received.kind, received.message], ['not-found', 'gone']);
  });

  it('an OK call is OK', () => assert.equal(codeName(undefined), 'OK'));

  it('a duration is whole seconds and the rest in nanoseconds', () => {
    assert.deepEqual(toDuration(0), { seconds: 0n, nanos: 0 });
    assert.deepEqual(toDuration(1250.5), { seconds: 1n, nanos: 250_500_000 });
    const { seconds, nanos } = toDuration(1999.9999999);
    assert.equal(nanos < 1e9, true);
    assert.equal(Number(seconds) + nanos / 1e9, 2);
  });

  it('an aborted wait throws the reason where that says more than CANCELLED', () => {
    const reason = new ServiceError('unavailable', 'SHUTTING_DOWN', 'x');
    assert.equal(abortError(AbortSignal.abort(reason)), reason);
    assert.throws(() => throwIfAborted(AbortSignal.abort()), isError('cancelled', 'CANCELLED'));
    throwIfAborted(new AbortController().signal);
  });
});

function asGrpcError(code: status, details: string, metadata: Metadata | undefined): GrpcError {
  return Object.assign(new Error(`${code} ${details}`), { code, details, metadata: metadata ?? new Metadata() });
}
