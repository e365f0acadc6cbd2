import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ReportServablesRequest } from '../../../proto/gen/maskterial/registry/v1/registry_service.ts';
import type { ServableReport } from '../../../proto/gen/maskterial/registry/v1/rollout.ts';
import { reportFrom } from '../../../registry/rpc/convert-rollout.ts';

function received(change: Partial<ServableReport>): ReturnType<typeof reportFrom>['servables'][number] | undefined {
  const servable: ServableReport = { model: 'M', version: 1, manifestDigest: 'sha256:', state: 5, ...change };
  const request = { server: undefined, sequence: 1n, servables: [servable], aliases: [], stopping: false };
  return reportFrom(ReportServablesRequest.decode(ReportServablesRequest.encode(request).finish())).servables[0];
}

test('a state of a later release is none that this one knows, and no error', () => {
  const state = 99 as ServableReport['state'];
  assert.equal(received({ state })?.state, 'unspecified');
});

test('a failure keeps code and message where its details are none of ours', () => {
  const details = [{ typeUrl: 'type.googleapis.com/google.rpc.ErrorInfo', value: Buffer.from([0xff]) }];
  assert.deepEqual(received({ error: { code: 9, message: 'broken', details } })?.failure, {
    kind: 'failed-precondition',
    reason: 'FAILED_PRECONDITION',
    message: 'broken',
  });
});

test('a time that no answer could name is left for the check to refuse', () => {
  const request = ReportServablesRequest.encode({
    server: undefined,
    sequence: 1n,
    servables: [{ model: 'M', version: 1, manifestDigest: '', state: 5, error: undefined, since: new Date(8.64e15) }],
    aliases: [],
    stopping: false,
  }).finish();
  assert.equal(reportFrom(ReportServablesRequest.decode(request)).servables[0]?.sinceMs, 8.64e15);
});
