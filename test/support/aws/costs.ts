import { randomUUID } from 'node:crypto';
import { CHUNK_BYTES } from '../../../proto/wire/chunks.ts';
import { digestOf, refOf } from '../../../proto/wire/digest.ts';
import { openDynamoCatalog } from '../../../registry/adapters/aws/dynamo-catalog.ts';
import { DynamoReports } from '../../../registry/adapters/aws/dynamo-reports.ts';
import { type DynamoSender, DynamoTable } from '../../../registry/adapters/aws/dynamo-table.ts';
import { DynamoWishes } from '../../../registry/adapters/aws/dynamo-wishes.ts';
import { S3BlobStore } from '../../../registry/adapters/aws/s3-blob-store.ts';
import { S3Bucket } from '../../../registry/adapters/aws/s3-bucket.ts';
import { s3LayoutOf } from '../../../registry/adapters/aws/s3-layout.ts';
import { systemClock } from '../../../registry/release/clock.ts';
import { createRegistry, type Registry } from '../../../registry/release/registry.ts';
import { ManualClock } from '../registry/manual-clock.ts';
import { collect, never, promotion, stage, upload } from '../registry/publish.ts';
import { sampleVersion, seededBytes } from '../registry/sample-version.ts';
import { reportOf, servableOf, servedOf } from '../registry/server-report.ts';
import { type Counted, countCapacity } from './capacity.ts';
import { instantPace } from './fake-client.ts';
import { MemoryS3 } from './memory-s3.ts';

/** What one call of the contract costs: capacity units, and requests to S3 that are paid for. */
export interface Cost {
  readonly call: string;
  readonly all: Counted;
  /** Of the requests that DynamoDB Local counts as DynamoDB does. */
  readonly alike: Counted;
  readonly s3: string;
}

/** DELETE and ABORT cost nothing; what reads an object or its head is a tenth of the price of the rest. */
const READING = new Set(['GetObject', 'HeadObject']);
const FREE = new Set(['DeleteObject', 'DeleteObjects', 'AbortMultipartUpload']);

const SETTINGS = { feedPollMs: 250, serverTtlMs: 30_000 };

/** Makes one call of each kind on a small registry and counts. */
export async function measureCosts(client: DynamoSender, table: string): Promise<Cost[]> {
  const counter = countCapacity(client);
  const s3 = new MemoryS3();
  s3.pageSize = 1000;
  const pace = instantPace();
  const catalog = await openDynamoCatalog({ client: counter.sender, pace }, { table }, never);
  const bucket = new S3Bucket(
    { client: s3.sender, pace, onLeftover: () => undefined },
    { bucket: 'bucket', kmsKeyId: undefined },
  );
  const liveState = new DynamoTable(counter.sender, pace, table);
  const [reports, wishes] = [new DynamoReports(liveState), new DynamoWishes(liveState)];
  const blobs = new S3BlobStore(bucket, s3LayoutOf(''));
  const registry = createRegistry({ catalog, blobs, reports, wishes, clock: systemClock, newId: () => randomUUID() }, SETTINGS);
  const costs: Cost[] = [];
  const measure = async <T>(call: string, action: () => Promise<T>): Promise<T> => {
    counter.take();
    s3.client.sent.length = 0;
    const result = await action();
    const paid = s3.client.names.filter((name) => !FREE.has(name));
    const reading = paid.filter((name) => READING.has(name)).length;
    costs.push({ call, ...counter.take(), s3: `${paid.length - reading} + ${reading}` });
    return result;
  };
  const labels = { material: 'graphene', setup: '20x' };
  const large = seededBytes('large', 2 * CHUNK_BYTES + 100);
  const small = seededBytes('small', 1000);
  const samples = [sampleVersion([large, small]), sampleVersion([small])];

  await measure('CreateModel, 2 labels', () =>
    registry.createModel({ name: 'm', kind: 'classification', description: 'about', labels, requestId: 'c' }, never),
  );
  for (const [index, sample] of samples.entries()) {
    const isFirst = index === 0;
    const run = <T>(call: string, action: () => Promise<T>): Promise<T> => (isFirst ? measure(call, action) : action());
    const id = await run('StageVersion, 2 new files', () => stage(registry, 'm', sample, `stage-${index}`));
    if (isFirst) {
      await measure('GetStaging, 2 missing files', () => registry.getStaging(id, never));
      await measure('UploadBlob, 3 chunks', () => upload(registry, id, large));
      await measure('UploadBlob, 1 chunk', () => upload(registry, id, small));
    }
    await run('FinalizeVersion, 2 files', () =>
      registry.finalizeVersion({ stagingId: id, requestId: `finalize-${index}` }, never),
    );
  }
  const move = { model: 'm', actor: 'ada', reason: 'because it is better' };
  await measure('PromoteVersion', () => registry.promoteVersion(promotion({ ...move, version: 1, requestId: 'p' }), never));
  await registry.promoteVersion(promotion({ ...move, version: 2 }), never);
  await measure('RollbackAlias', () =>
    registry.rollbackAlias({ ...move, alias: 'production', expectedRevision: undefined, requestId: 'r' }, never),
  );
  await measure('ResolveVersion', () =>
    registry.resolveVersion({ model: 'm', ref: { kind: 'alias', alias: 'production' } }, never),
  );
  await measure('GetModel', () => registry.getModel('m', never));
  await measure('GetVersion', () => registry.getVersion({ model: 'm', version: 1 }, never));
  await measure('ListModels', () => registry.listModels({ pageSize: 0, pageToken: '', labels: {} }, never));
  await measure('ListModels, by 2 labels', () => registry.listModels({ pageSize: 0, pageToken: '', labels }, never));
  await measure('ListVersions', () => registry.listVersions({ model: 'm', pageSize: 0, pageToken: '', labels: {} }, never));
  await measure('ListAliasEvents', () => registry.listAliasEvents({ model: 'm', alias: '', pageSize: 0, pageToken: '' }, never));
  await measure('ListAliasEvents, at a time', () =>
    registry.listAliasEvents({ model: 'm', alias: 'production', pageSize: 0, pageToken: '', atMs: Date.now() }, never),
  );
  await measure('DeprecateVersion', () => registry.deprecateVersion({ model: 'm', version: 2, reason: 'blurred' }, never));
  await measure('ReadBlob, whole', () =>
    collect(registry.readBlob({ blob: refOf(small), offsetBytes: 0, lengthBytes: undefined }, never)),
  );
  await measure('WatchAliases, the start', async () => {
    for await (const _ of registry.watchAliases({ cursor: '', heartbeatSeconds: 1 }, never)) {
      return;
    }
  });
  const clock = new ManualClock();
  const watched = createRegistry({ catalog, blobs, reports, wishes, clock, newId: () => randomUUID() }, SETTINGS);
  const over = new AbortController();
  const watches = Array.from({ length: 2 }, () => watchAtRest(watched, over.signal));
  // Each watcher's two heartbeats, and the next question for changes and the one for wishes, however many watch.
  await clock.untilSleeping(2 * watches.length + 2);
  await measure('WatchAliases, a second at rest', async () => {
    for (let passedMs = 0; passedMs < 1000; passedMs += SETTINGS.feedPollMs) {
      clock.advance(SETTINGS.feedPollMs);
      await clock.untilSleeping(2 * watches.length + 2);
    }
  });
  over.abort();
  await Promise.all(watches);
  await measure('DeleteVersion, 1 file', () => registry.deleteVersion({ ...move, version: 2, requestId: 'd' }, never));
  await registry.stageVersion(
    { model: 'm', manifestJson: sampleVersion([large]).manifestJson, labels: {}, requestId: '' },
    never,
  );
  const collection = (isDryRun: boolean) => registry.collectGarbage({ isDryRun, graceSeconds: 0 }, never);
  await measure('CollectGarbage, dry run: 2 of 5 blobs, 1 staging', () => collection(true));
  await measure('CollectGarbage, 2 of 5 blobs, 1 staging', () => collection(false));
  await measure('CollectGarbage, nothing of 3 blobs', () => collection(false));
  const report = (sequence: number, state: 'loading' | 'ready') => {
    const versions = Array.from({ length: 10 }, (_, index) => [index + 1, digestOf(Buffer.from(`${index}`))] as const);
    const servables = versions.map(([version, digest]) => servableOf(version, digest, { state }));
    const aliases = versions.map(([version, digest]) => servedOf(version, digest, { model: `CLS_AMM_${version}` }));
    return registry.reportServables(reportOf('server', { sequence, servables, aliases }), never);
  };
  await report(1, 'loading');
  await measure('ReportServables, news, 10 versions', () => report(2, 'ready'));
  await measure('ReportServables, renewed, 10 versions', () => report(3, 'ready'));
  await measure('GetRollout, 1 server', () => registry.getRollout({ model: 'm', alias: '' }, never));
  await measure('PrefetchVersion', () => registry.prefetchVersion({ model: 'm', version: 1, holdSeconds: 0 }, never));
  return costs;
}

/** Reads the snapshot and waits for what does not come, until the signal. */
async function watchAtRest(registry: Registry, signal: AbortSignal): Promise<void> {
  try {
    for await (const event of registry.watchAliases({ cursor: '', heartbeatSeconds: 60 }, signal)) {
      if (event.kind === 'heartbeat') {
        throw new Error('a heartbeat within the first second');
      }
    }
  } catch (error) {
    if (!signal.aborted) {
      throw error;
    }
  }
}
