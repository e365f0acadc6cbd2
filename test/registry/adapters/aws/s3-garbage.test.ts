import assert from 'node:assert/strict';
import { it } from 'node:test';
import { S3BlobStore } from '../../../../registry/adapters/aws/s3-blob-store.ts';
import { S3Bucket } from '../../../../registry/adapters/aws/s3-bucket.ts';
import { s3LayoutOf } from '../../../../registry/adapters/aws/s3-layout.ts';
import { instantPace } from '../../../support/aws/fake-client.ts';
import { MemoryS3 } from '../../../support/aws/memory-s3.ts';
import { never } from '../../../support/registry/publish.ts';
import { chunkedBlob, seededBytes } from '../../../support/registry/sample-version.ts';

it('calls a blob absent that goes out of sight while it is verified', async () => {
  const s3 = new MemoryS3();
  const deps = { client: s3.sender, pace: instantPace(), onLeftover: () => undefined };
  const store = new S3BlobStore(new S3Bucket(deps, { bucket: 'bucket', kmsKeyId: undefined }), s3LayoutOf(''));
  const bytes = seededBytes('verified', 100);
  const blob = chunkedBlob(bytes);
  const upload = await store.openUpload(blob, never);
  await upload.putChunk(0, bytes, never);
  await upload.commit(never);
  s3.client.before = async ({ name }) => {
    if (name === 'GetObject') {
      await store.setAside(blob.digest, never);
    }
  };
  assert.deepEqual(await store.verify(blob, never), { kind: 'absent' });
  s3.client.before = () => undefined;
  await store.restore(blob.digest, never);
  assert.deepEqual(await store.verify(blob, never), { kind: 'valid' });
});
