import { after, before, describe } from 'node:test';
import { GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3';
import { createS3Client } from '../../../registry/adapters/aws/aws-clients.ts';
import { S3BlobStore } from '../../../registry/adapters/aws/s3-blob-store.ts';
import { S3Bucket } from '../../../registry/adapters/aws/s3-bucket.ts';
import { s3LayoutOf } from '../../../registry/adapters/aws/s3-layout.ts';
import { describeBlobStore } from '../../contract/blob-store-contract.ts';
import { type AwsTestServers, ignoreLeftover, needsAws, pace, startAwsTestStores } from '../../support/aws/aws-test-store.ts';

describe('on S3', needsAws(), () => {
  let servers: AwsTestServers;
  before(async () => {
    servers = await startAwsTestStores();
  });
  after(() => servers.stop());

  describeBlobStore('S3', async () => {
    const settings = await servers.newStore();
    const client = createS3Client(settings);
    const layout = s3LayoutOf(settings.prefix);
    const open = () => new S3BlobStore(new S3Bucket({ client, pace, onLeftover: ignoreLeftover }, settings), layout);
    return {
      store: open(),
      openAnother: async () => open(),
      damage: async (digest) => {
        const object = { Bucket: settings.bucket, Key: layout.blob(digest) };
        const { Body } = await client.send(new GetObjectCommand(object));
        const bytes = (await Body?.transformToByteArray()) ?? new Uint8Array(0);
        bytes[0] = (bytes[0] ?? 0) ^ 1;
        await client.send(new PutObjectCommand({ ...object, Body: bytes }));
      },
      close: async () => client.destroy(),
    };
  });
});
