import { ScanCommand } from '@aws-sdk/client-dynamodb';
import { createDynamoClient, createS3Client } from '../../../registry/adapters/aws/aws-clients.ts';
import type { AwsSettings } from '../../../registry/adapters/aws/aws-settings.ts';
import { S3BlobStore } from '../../../registry/adapters/aws/s3-blob-store.ts';
import { S3Bucket } from '../../../registry/adapters/aws/s3-bucket.ts';
import { s3LayoutOf } from '../../../registry/adapters/aws/s3-layout.ts';
import { never } from '../registry/publish.ts';
import { ignoreLeftover, pace } from './aws-test-store.ts';

/** What S3 and the store choose anew each time. */
const RANDOM = new Set(['versionId', 'etag', 'storeId']);
/** Grows more than once where an answer got lost: it only says that there is something new. */
const COUNTER = 'servers-head';

/** Everything that table and bucket hold, but for what is random, so that two stores can be compared. */
export async function stateOf(settings: AwsSettings): Promise<unknown> {
  const dynamo = createDynamoClient(settings);
  const s3 = createS3Client(settings);
  try {
    const { Items = [], LastEvaluatedKey } = await dynamo.send(new ScanCommand({ TableName: settings.table }));
    if (LastEvaluatedKey !== undefined) {
      throw new Error('the table is longer than one answer');
    }
    const items = Items.filter((item) => item['sk']?.S !== COUNTER).toSorted((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
    const bucket = new S3Bucket({ client: s3, pace, onLeftover: ignoreLeftover }, settings);
    const blobs = new S3BlobStore(bucket, s3LayoutOf(settings.prefix));
    const sizes = await bucket.list(`${settings.prefix}/`, never);
    return comparable({ items, objects: [...sizes], setAside: await blobs.listSetAside(never) }, settings);
  } finally {
    dynamo.destroy();
    s3.destroy();
  }
}

/** A value of any answer, as JSON has it, without what is random. */
export function comparable(value: unknown, { prefix }: AwsSettings): unknown {
  const json = JSON.stringify(value, (name, part: unknown) => {
    if (RANDOM.has(name)) {
      return typeof part === 'object' ? '?' : part === '' ? '' : '?';
    }
    return part;
  });
  return JSON.parse(json.replaceAll(prefix, 'PREFIX'));
}

function keyOf(item: Readonly<Record<string, { readonly S?: string }>> | object): string {
  const { pk, sk } = item as Readonly<Record<string, { readonly S?: string } | undefined>>;
  return `${pk?.S ?? ''} ${sk?.S ?? ''}`;
}
