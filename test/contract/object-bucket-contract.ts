import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import type { BucketObject, ObjectBucket } from '../../clients/cli/bucket/object-bucket.ts';
import { collect, never } from '../support/registry/publish.ts';
import { seededBytes } from '../support/registry/sample-version.ts';
import { isError } from '../support/service-errors.ts';

export interface ObjectBucketFixture {
  readonly bucket: ObjectBucket;
  /** The same with the name of a bucket that is not there. */
  readonly missing: ObjectBucket;
  /** The same without leave to read. */
  readonly forbidden: ObjectBucket;
  store(key: string, bytes: Buffer): Promise<void>;
  close(): Promise<void>;
}

/** What every adapter of the ObjectBucket port promises. */
export function describeObjectBucket(name: string, create: () => Promise<ObjectBucketFixture>): void {
  describe(`object bucket: ${name}`, () => {
    let fixture: ObjectBucketFixture;
    beforeEach(async () => {
      fixture = await create();
    });
    afterEach(() => fixture.close());

    const list = async (bucket: ObjectBucket, prefix: string, signal = never): Promise<BucketObject[]> => {
      const objects: BucketObject[] = [];
      for await (const object of bucket.list(prefix, signal)) {
        objects.push(object);
      }
      return objects;
    };

    it('lists what begins with a prefix, over more than one page, and reads it from any byte on', async () => {
      const bytes = seededBytes('object', 3_000_000);
      await fixture.store('models/a/large', bytes);
      for (const key of ['models/a/empty', 'models/b/c', 'models/d', 'other']) {
        await fixture.store(key, Buffer.from(key === 'models/a/empty' ? '' : key));
      }
      const objects = await list(fixture.bucket, 'models/');
      assert.deepEqual(
        objects.map(({ key, sizeBytes }) => [key, sizeBytes]),
        [
          ['models/a/empty', 0],
          ['models/a/large', bytes.byteLength],
          ['models/b/c', 10],
          ['models/d', 8],
        ],
      );
      const [empty, large] = objects;
      assert.ok(empty !== undefined && large !== undefined);
      assert.deepEqual(await collect(fixture.bucket.read(large, 0, never)), bytes);
      assert.deepEqual(await collect(fixture.bucket.read(large, 2_999_990, never)), bytes.subarray(2_999_990));
      assert.equal((await collect(fixture.bucket.read(empty, 0, never))).byteLength, 0);
      assert.deepEqual(await list(fixture.bucket, 'nothing/'), []);
    });

    it('reads no other content than the one that was listed', async () => {
      await fixture.store('models/a', Buffer.from('first'));
      const [object] = await list(fixture.bucket, 'models/');
      assert.ok(object !== undefined);
      await fixture.store('models/a', Buffer.from('other'));
      await assert.rejects(collect(fixture.bucket.read(object, 0, never)), isError('data-loss', 'DIGEST_MISMATCH'));
      const gone = { ...object, key: 'models/gone' };
      await assert.rejects(collect(fixture.bucket.read(gone, 0, never)), isError('not-found', 'BLOB_NOT_FOUND'));
    });

    it('says that there is no such bucket, or no leave to read it', async () => {
      await assert.rejects(list(fixture.missing, ''), isError('not-found', 'BUCKET_NOT_FOUND'));
      await assert.rejects(list(fixture.forbidden, ''), isError('failed-precondition', 'BUCKET_ACCESS_DENIED'));
    });

    it('ends when it is no longer wanted', async () => {
      await fixture.store('models/a', Buffer.from('first'));
      const [object] = await list(fixture.bucket, 'models/');
      assert.ok(object !== undefined);
      await assert.rejects(list(fixture.bucket, '', AbortSignal.abort()), isError('cancelled', 'CANCELLED'));
      await assert.rejects(collect(fixture.bucket.read(object, 0, AbortSignal.abort())), isError('cancelled', 'CANCELLED'));
    });
  });
}
