import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fitTrailers } from '../../../proto/wire/error-size.ts';
import { invalid, ServiceError } from '../../../proto/wire/errors.ts';
import { toGrpcStatus } from '../../../proto/wire/status.ts';

/** What clients of gRPC's C core take without risk. */
const TRAILER_BYTES = 8 * 1024;

describe('the size of an error', () => {
  it('an ordinary error stays as it is', () => {
    const error = new ServiceError('aborted', 'REVISION_CONFLICT', 'M@production stands at revision 2, expected 1', {
      metadata: { current_revision: '2' },
      violations: [{ field: 'expected_revision', description: 'too old' }],
      retryDelayMs: 5,
    });
    const { kind, reason, message, metadata, violations, retryDelayMs } = fitTrailers(error);
    assert.deepEqual(
      { kind, reason, message, metadata, violations, retryDelayMs },
      {
        kind: error.kind,
        reason: error.reason,
        message: error.message,
        metadata: error.metadata,
        violations: error.violations,
        retryDelayMs: 5,
      },
    );
  });

  it('half of a surrogate pair is replaced: it cannot be sent', () => {
    const half = 'a model name, found "\u{1f52c}'.slice(0, -1);
    const sent = fitTrailers(invalid([{ field: half, description: half }]));
    const whole = 'a model name, found "\ufffd';
    assert.equal(sent.message, `${whole}: ${whole}`);
    assert.deepEqual(sent.violations, [{ field: whole, description: whole }]);
    assert.doesNotThrow(() => encodeURI(toGrpcStatus(invalid([{ field: half, description: half }])).details));
  });

  const texts: readonly (readonly [name: string, letter: string])[] = [
    ['ASCII', 'x'],
    ['two bytes a letter', '\u00e9'],
    ['surrogate pairs', '\u{1f52c}'],
    ['control characters', '\n'],
  ];
  for (const [name, letter] of texts) {
    it(`a huge error fits the trailers: ${name}`, () => {
      const long = letter.repeat(100_000);
      const violations = Array.from({ length: 1000 }, () => ({ field: long, description: long }));
      const error = new ServiceError('invalid-argument', 'INVALID_REQUEST', long, {
        violations,
        metadata: { short: '1', long },
      });
      const { details, metadata } = toGrpcStatus(error);
      const headers = { 'grpc-message': encodeURI(details), ...metadata.toHttp2Headers() };
      assert.ok(JSON.stringify(headers).length < TRAILER_BYTES, `${JSON.stringify(headers).length} bytes`);
      assert.equal(fitTrailers(error).metadata['short'], '1');
      assert.equal(details.includes('\ufffd'), false);
    });
  }

  it('says how many violations are left out', () => {
    const violations = Array.from({ length: 1000 }, (_, index) => ({ field: `f${index}`, description: 'bad' }));
    const kept = fitTrailers(invalid(violations)).violations;
    assert.deepEqual(kept[0], violations[0]);
    assert.equal(kept.at(-1)?.description.includes(String(1000 - (kept.length - 1))), true);
  });
});
