import { createDynamoClient, createS3Client } from '../../../registry/adapters/aws/aws-clients.ts';
import type { AwsSettings } from '../../../registry/adapters/aws/aws-settings.ts';
import { openDynamoCatalog } from '../../../registry/adapters/aws/dynamo-catalog.ts';
import { DynamoReports } from '../../../registry/adapters/aws/dynamo-reports.ts';
import { DynamoTable } from '../../../registry/adapters/aws/dynamo-table.ts';
import { DynamoWishes } from '../../../registry/adapters/aws/dynamo-wishes.ts';
import { S3BlobStore } from '../../../registry/adapters/aws/s3-blob-store.ts';
import { S3Bucket } from '../../../registry/adapters/aws/s3-bucket.ts';
import { s3LayoutOf } from '../../../registry/adapters/aws/s3-layout.ts';
import { never } from '../registry/publish.ts';
import { pace } from './aws-test-store.ts';
import { type FaultKind, failingEvery, standsStill } from './fault-kinds.ts';
import { startFaultProxy } from './fault-proxy.ts';

/** Where nothing stands still on purpose nothing is given up. */
const IDLE_MS = 20_000;
/** Long enough for a busy machine, and short enough to be waited out again and again. */
const SHORT_IDLE_MS = 1_000;

/** Catalog, live state and blobs on both servers, each behind a proxy. */
export interface TroubledStore extends AsyncDisposable {
  readonly catalog: Awaited<ReturnType<typeof openDynamoCatalog>>;
  readonly blobs: S3BlobStore;
  readonly reports: DynamoReports;
  readonly wishes: DynamoWishes;
  /** What could not be cleaned up. */
  readonly leftovers: unknown[];
  /** How many requests failed on purpose so far. */
  faults(): number;
}

/** Opens a store of which every `every`-th request fails in the one way, of DynamoDB, of S3 or of both. */
export async function openTroubledStore(
  settings: AwsSettings,
  { dynamo, s3, every }: { readonly dynamo?: FaultKind; readonly s3?: FaultKind; readonly every: number },
): Promise<TroubledStore> {
  const proxies = await Promise.all([startFaultProxy(settings.dynamoEndpoint ?? ''), startFaultProxy(settings.s3Endpoint ?? '')]);
  const [dynamoProxy, s3Proxy] = proxies;
  const through = { ...settings, dynamoEndpoint: dynamoProxy.url, s3Endpoint: s3Proxy.url };
  const dynamoClient = createDynamoClient(through, { idleMs: idleFor(dynamo) });
  const s3Client = createS3Client(through, { idleMs: idleFor(s3) });
  const leftovers: unknown[] = [];
  const onLeftover = (error: unknown): void => void leftovers.push(error);
  const table = new DynamoTable(dynamoClient, pace, settings.table);
  const catalog = await openDynamoCatalog({ client: dynamoClient, pace }, settings, never);
  const troubles = [
    { proxy: dynamoProxy, kind: dynamo },
    { proxy: s3Proxy, kind: s3 },
  ].flatMap(({ proxy, kind }) => {
    if (kind === undefined) {
      return [];
    }
    const failing = failingEvery(every, kind);
    proxy.setFault(failing.choose);
    return [failing];
  });
  return {
    catalog,
    blobs: new S3BlobStore(new S3Bucket({ client: s3Client, pace, onLeftover }, settings), s3LayoutOf(settings.prefix)),
    reports: new DynamoReports(table),
    wishes: new DynamoWishes(table),
    leftovers,
    faults: () => troubles.reduce((sum, { count }) => sum + count(), 0),
    [Symbol.asyncDispose]: async () => {
      dynamoClient.destroy();
      s3Client.destroy();
      await Promise.all(proxies.map((proxy) => proxy.stop()));
    },
  };
}

function idleFor(kind: FaultKind | undefined): number {
  return kind !== undefined && standsStill(kind) ? SHORT_IDLE_MS : IDLE_MS;
}
