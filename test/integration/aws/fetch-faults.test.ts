import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, describe, it, type TestContext } from 'node:test';
import { S3Access } from '../../../inference/adapters/s3-source.ts';
import type { ArtifactCache } from '../../../inference/cache/artifact-cache.ts';
import type { BlobSource } from '../../../inference/cache/blob-source.ts';
import { CHUNK_BYTES } from '../../../proto/wire/chunks.ts';
import { isServiceError } from '../../../proto/wire/errors.ts';
import { createS3Client } from '../../../registry/adapters/aws/aws-clients.ts';
import type { AwsSettings } from '../../../registry/adapters/aws/aws-settings.ts';
import { S3BlobStore } from '../../../registry/adapters/aws/s3-blob-store.ts';
import { S3Bucket } from '../../../registry/adapters/aws/s3-bucket.ts';
import { s3LayoutOf } from '../../../registry/adapters/aws/s3-layout.ts';
import type { ObjectPlace } from '../../../registry/model/object-place.ts';
import {
  type AwsTestServers,
  ignoreLeftover,
  needsLocalAws,
  pace,
  startAwsTestServers,
} from '../../support/aws/aws-test-store.ts';
import { type FaultKind, failingEvery, S3_FAULTS, standsStill } from '../../support/aws/fault-kinds.ts';
import { startFaultProxy } from '../../support/aws/fault-proxy.ts';
import { cacheFolder } from '../../support/cache-folder.ts';
import { FakeBlobSource } from '../../support/fake-blob-source.ts';
import { never } from '../../support/registry/publish.ts';
import { chunkedBlob, seededBytes } from '../../support/registry/sample-version.ts';

const BYTES = seededBytes('fetched', 2 * CHUNK_BYTES + 100);
const BLOB = chunkedBlob(BYTES);
const STALL_MS = 1_000;
/** More tries than half of all requests failing can take. */
const MAX_TRIES = 20;
/** An inference server only reads. */
const READING = S3_FAULTS.filter(({ concerns }) => concerns({ method: 'GET', url: '/bucket/key', target: '', isCopy: false }));

describe('an inference server fetches from S3 in trouble', needsLocalAws(), () => {
  let servers: AwsTestServers;
  let settings: AwsSettings;
  let place: ObjectPlace;
  before(async () => {
    servers = await startAwsTestServers();
    settings = await servers.newStore();
    place = await store(settings);
  });
  after(() => servers.stop());

  /** The object through a proxy that makes trouble, and a cache of its own. */
  const open = async (t: TestContext, kind: FaultKind, every: number) => {
    const proxy = await startFaultProxy(settings.s3Endpoint ?? '');
    const failing = failingEvery(every, kind);
    proxy.setFault(failing.choose);
    const access = new S3Access({ nowMs: () => performance.now() }, { region: settings.region, endpoint: proxy.url });
    t.after(async () => {
      await access.close();
      await proxy.stop();
    });
    const folder = await cacheFolder(t);
    const cache = await folder.open({}, { stallTimeoutMs: STALL_MS });
    const source = access.source(place);
    return { cache, source, failing, events: folder.events, requests: proxy.requests };
  };

  for (const kind of READING) {
    it(`${kind.name}: whole in the end, and no chunk is kept that is not right`, async (t) => {
      const { cache, source, failing, events, requests } = await open(t, kind, standsStill(kind) ? 3 : 2);
      assert.ok((await readFile(await fetchPatiently(cache, [source]))).equals(BYTES));
      assert.ok(failing.count() > 0);
      assert.deepEqual(
        events.filter(({ kind: what }) => what === 'source-lied' || what === 'blob-quarantined'),
        [],
      );
      const asked = requests.length;
      await cache.ensure(BLOB, [source], never);
      assert.equal(requests.length, asked);
    });

    it(`${kind.name}, always: the registry gives it at once`, async (t) => {
      const { cache, source, failing } = await open(t, kind, 1);
      const registry = new FakeBlobSource('registry', BYTES);
      const { path } = await cache.ensure(BLOB, [source, registry], never);
      assert.ok((await readFile(path)).equals(BYTES));
      assert.ok(failing.count() > 0 && registry.requests.length > 0);
    });
  }
});

async function store(settings: AwsSettings): Promise<ObjectPlace> {
  const client = createS3Client(settings);
  const bucket = new S3Bucket({ client, pace, onLeftover: ignoreLeftover }, settings);
  const blobs = new S3BlobStore(bucket, s3LayoutOf(settings.prefix));
  const upload = await blobs.openUpload(BLOB, never);
  for (const index of BLOB.chunks.keys()) {
    await upload.putChunk(index, BYTES.subarray(index * CHUNK_BYTES, (index + 1) * CHUNK_BYTES), never);
  }
  assert.equal(await upload.commit(never), true);
  const place = await blobs.placeOf(BLOB.digest, never);
  client.destroy();
  assert.ok(place !== undefined && place.versionId !== '');
  return place;
}

/** As the rollout does: again for as long as it may pass. */
async function fetchPatiently(cache: ArtifactCache, sources: readonly BlobSource[]): Promise<string> {
  for (let tries = 1; ; tries++) {
    try {
      return (await cache.ensure(BLOB, sources, never)).path;
    } catch (error) {
      if (!isServiceError(error, 'unavailable') || tries === MAX_TRIES) {
        throw error;
      }
    }
  }
}
