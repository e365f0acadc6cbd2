import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import { S3ObjectBucket } from '../../../clients/adapters/s3-object-bucket.ts';
import type { ObjectBucket } from '../../../clients/cli/bucket/object-bucket.ts';
import type { ErrorKind, ErrorReason } from '../../../proto/wire/errors.ts';
import { describeObjectBucket } from '../../contract/object-bucket-contract.ts';
import { awsError } from '../../support/aws/fake-client.ts';
import { MemoryS3 } from '../../support/aws/memory-s3.ts';
import { collect, never } from '../../support/registry/publish.ts';
import { isError, rejection } from '../../support/service-errors.ts';

const OBJECT = { key: 'models/a', sizeBytes: 5, etag: '' };

/** A bucket whose every request fails with this. */
function failing(error: Error): ObjectBucket {
  const s3 = new MemoryS3();
  s3.client.before = () => {
    throw error;
  };
  return new S3ObjectBucket(s3.sender, 'bucket');
}

describeObjectBucket('S3, in memory', async () => {
  const s3 = new MemoryS3();
  return {
    bucket: new S3ObjectBucket(s3.sender, 'bucket'),
    missing: failing(awsError('NoSuchBucket', 404)),
    forbidden: failing(awsError('AccessDenied', 403)),
    store: async (key, bytes) => s3.store(key, bytes),
    close: async () => undefined,
  };
});

test('tells what may pass from what will not', async () => {
  const cases: readonly (readonly [Error, ErrorKind, ErrorReason])[] = [
    [awsError('SlowDown', 503), 'unavailable', 'STORAGE_UNAVAILABLE'],
    [awsError('TooManyRequests', 429), 'unavailable', 'STORAGE_UNAVAILABLE'],
    [Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }), 'unavailable', 'STORAGE_UNAVAILABLE'],
    [awsError('CredentialsProviderError', 0), 'failed-precondition', 'BUCKET_ACCESS_DENIED'],
    [awsError('SignatureDoesNotMatch', 403), 'failed-precondition', 'BUCKET_ACCESS_DENIED'],
    [awsError('ExpiredToken', 400), 'failed-precondition', 'BUCKET_ACCESS_DENIED'],
    [awsError('InvalidBucketName', 400), 'invalid-argument', 'UNREADABLE_FILE'],
  ];
  for (const [error, kind, reason] of cases) {
    const found = await rejection(collect(failing(error).read(OBJECT, 0, never)));
    assert.deepEqual([found.kind, found.reason], [kind, reason], error.name);
    assert.doesNotMatch(found.message, /arn:aws/);
  }
});

test('a body that breaks is a failure that may pass; one that is left is closed', async () => {
  const s3 = new MemoryS3();
  s3.store(OBJECT.key, Buffer.from('bytes'));
  const bucket = new S3ObjectBucket(s3.sender, 'bucket');
  const bodies: Readable[] = [];
  s3.body = (bytes) => {
    const body = Readable.from(
      (function* () {
        yield bytes.subarray(0, 2);
        throw Object.assign(new Error('cut'), { code: 'ECONNRESET' });
      })(),
    );
    bodies.push(body);
    return body;
  };
  await assert.rejects(collect(bucket.read(OBJECT, 0, never)), isError('unavailable', 'STORAGE_UNAVAILABLE'));
  for await (const piece of bucket.read(OBJECT, 0, never)) {
    assert.equal(piece.byteLength, 2);
    break;
  }
  assert.deepEqual(
    bodies.map(({ destroyed }) => destroyed),
    [true, true],
  );
});

test('a read that is no longer wanted ends while nothing comes', async () => {
  const s3 = new MemoryS3();
  s3.store(OBJECT.key, Buffer.from('bytes'));
  s3.body = (bytes) => {
    const body = new Readable({ read: () => undefined });
    body.push(bytes.subarray(0, 2));
    return body;
  };
  const controller = new AbortController();
  const pieces = new S3ObjectBucket(s3.sender, 'bucket').read(OBJECT, 0, controller.signal);
  await pieces.next();
  const next = pieces.next();
  controller.abort();
  await assert.rejects(next, isError('cancelled', 'CANCELLED'));
});
