import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { status } from '@grpc/grpc-js';
import { GetModelRequest } from '../../../proto/gen/maskterial/registry/v1/registry_service.ts';
import { frame, type RawCall, RawGrpc } from '../../support/raw-grpc.ts';
import { startRegistryServer } from '../../support/registry/registry-server.ts';
import { temporaryFolder } from '../../support/registry/temporary-folder.ts';
import { isError } from '../../support/service-errors.ts';

const SERVICE = '/maskterial.registry.v1.RegistryService';
const MESSAGE = GetModelRequest.encode({ name: 'none' }).finish();

/** Calls that the gRPC library answers by itself, and what the caller is to be told. */
const CASES: Readonly<Record<string, Partial<RawCall> & { readonly reason: 'MALFORMED_MESSAGE' | 'MESSAGE_TOO_LARGE' }>> = {
  'no message': { body: [], reason: 'MALFORMED_MESSAGE' },
  'half a message': { body: [frame(MESSAGE).subarray(0, 7)], reason: 'MALFORMED_MESSAGE' },
  'no message for a stream of answers': { path: `${SERVICE}/WatchAliases`, body: [], reason: 'MALFORMED_MESSAGE' },
  'two messages where one belongs': { body: [frame(MESSAGE), frame(MESSAGE)], reason: 'MALFORMED_MESSAGE' },
  'other bytes than its message': { body: [frame(Buffer.from([0xff, 0xff]))], reason: 'MALFORMED_MESSAGE' },
  'a compression that nobody announced support for': {
    body: [frame(MESSAGE, { flag: 1 })],
    headers: { 'grpc-encoding': 'snappy' },
    reason: 'MALFORMED_MESSAGE',
  },
  'compressed bytes that do not open': {
    body: [frame(Buffer.from('not gzip'), { flag: 1 })],
    headers: { 'grpc-encoding': 'gzip' },
    reason: 'MALFORMED_MESSAGE',
  },
  'a timeout that is none': { headers: { 'grpc-timeout': 'soon' }, reason: 'MALFORMED_MESSAGE' },
  'a length beyond the limit': { body: [frame(MESSAGE, { length: 0xffff_ffff })], reason: 'MESSAGE_TOO_LARGE' },
  'more than the limit once it is decompressed': {
    body: [frame(gzipSync(Buffer.alloc(9 * 1024 * 1024)), { flag: 1 })],
    headers: { 'grpc-encoding': 'gzip' },
    reason: 'MESSAGE_TOO_LARGE',
  },
};

describe('what the gRPC library finds wrong with a call is the fault of the caller and says so', () => {
  for (const [name, { reason, ...call }] of Object.entries(CASES)) {
    it(name, async () => {
      await using folder = await temporaryFolder();
      await using server = await startRegistryServer(folder.path);
      using client = new RawGrpc(server.running.address);
      const outcome = await client.call({ path: `${SERVICE}/GetModel`, body: [frame(MESSAGE)], ...call });
      assert.ok(outcome.kind === 'status', JSON.stringify(outcome));
      assert.equal(outcome.code, status.INVALID_ARGUMENT);
      isError('invalid-argument', reason)(outcome.error);
    });
  }

  it('a method that there is not stays UNIMPLEMENTED, as gRPC has it', async () => {
    await using folder = await temporaryFolder();
    await using server = await startRegistryServer(folder.path);
    using client = new RawGrpc(server.running.address);
    const outcome = await client.call({ path: `${SERVICE}/Nonsense`, body: [frame(MESSAGE)] });
    assert.ok(outcome.kind === 'status', JSON.stringify(outcome));
    assert.equal(outcome.code, status.UNIMPLEMENTED);
  });
});
