import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { asDigest, digestOf, Hasher, hexOf, parseDigest, refOf } from '../../../proto/wire/digest.ts';
import { hasViolationAt } from '../../support/service-errors.ts';

// FIPS 180-2, appendix B.1, and the well-known digest of nothing.
const ABC = 'sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
const NOTHING = 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

describe('digest', () => {
  it('is the SHA-256 of the bytes, with their size', () => {
    assert.equal(digestOf(Buffer.from('abc')), ABC);
    assert.deepEqual(refOf(Buffer.from('abc')), { digest: ABC, sizeBytes: 3 });
    assert.deepEqual(refOf(new Uint8Array()), { digest: NOTHING, sizeBytes: 0 });
    assert.equal(hexOf(digestOf(Buffer.from('abc'))), ABC.slice(7));
  });

  it('is the same whatever pieces the bytes come in', () => {
    const hasher = new Hasher();
    for (const piece of ['a', '', 'bc']) {
      hasher.update(Buffer.from(piece));
    }
    assert.deepEqual(hasher.finish(), { digest: ABC, sizeBytes: 3 });
  });

  it('hashes a view, not the buffer under it', () => {
    assert.equal(digestOf(new Uint8Array(Buffer.from('xabcx')).subarray(1, 4)), ABC);
  });

  const others: Readonly<Record<string, string>> = {
    'no algorithm': ABC.slice(7),
    'another algorithm': ABC.replace('sha256', 'sha512'),
    'upper case': `sha256:${ABC.slice(7).toUpperCase()}`,
    'too short': ABC.slice(0, -1),
    'too long': `${ABC}0`,
    'a line end after it': `${ABC}\n`,
    'a path': `sha256:../${ABC.slice(10)}`,
    nothing: '',
  };
  for (const [name, text] of Object.entries(others)) {
    it(`refuses ${name}`, () => {
      assert.equal(asDigest(text), undefined);
      assert.throws(() => parseDigest(text, 'blob.digest'), hasViolationAt('INVALID_REQUEST', 'blob.digest'));
    });
  }

  it('keeps a hostile text out of the message', () => {
    assert.throws(
      () => parseDigest('x'.repeat(1_000_000), 'digest'),
      (error: Error) => error.message.length < 300,
    );
  });

  it('accepts its own form', () => {
    assert.equal(parseDigest(ABC, 'digest'), ABC);
  });
});
