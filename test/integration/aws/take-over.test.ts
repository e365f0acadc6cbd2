import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { CreateBucketCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { openS3Bucket, S3ObjectBucket } from '../../../clients/adapters/s3-object-bucket.ts';
import { parseModelReference } from '../../../proto/wire/names.ts';
import { createS3Client } from '../../../registry/adapters/aws/aws-clients.ts';
import type { AwsSettings } from '../../../registry/adapters/aws/aws-settings.ts';
import { describeObjectBucket } from '../../contract/object-bucket-contract.ts';
import { type AwsTestServers, needsLocalAws, startAwsTestServers } from '../../support/aws/aws-test-store.ts';
import { ammFiles, randomAmm } from '../../support/bundle-models.ts';
import { m2fFiles, randomM2f, TINY } from '../../support/m2f/random-model.ts';
import { type CommandResult, runCommand } from '../../support/run-command.ts';
import { TestSystem } from '../../support/system.ts';

const AMM = (seed: number): Record<string, Buffer> =>
  ammFiles(randomAmm({ classCount: 3, embeddingSize: 4, depth: 1, hasSpectralNorm: true, seed }));

describe('taking a bucket over', needsLocalAws(), () => {
  let servers: AwsTestServers;
  let settings: AwsSettings;
  let client: S3Client;
  before(async () => {
    servers = await startAwsTestServers();
    settings = await servers.newStore();
    client = createS3Client(settings);
  });
  after(async () => {
    client.destroy();
    await servers.stop();
  });

  const newBucket = async (): Promise<string> => {
    const bucket = `models-${randomUUID()}`;
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
    return bucket;
  };
  const store = async (bucket: string, key: string, bytes: Buffer): Promise<void> => {
    await client.send(new PutObjectCommand({ Bucket: bucket, Key: key, Body: bytes }));
  };

  describeObjectBucket('S3', async () => {
    const name = await newBucket();
    const { region, s3Endpoint: endpoint } = settings;
    const bucket = openS3Bucket(name, { region, endpoint });
    const missing = openS3Bucket(`missing-${randomUUID()}`, { region, endpoint });
    const credentials = { accessKeyId: servers.env['AWS_ACCESS_KEY_ID'] ?? '', secretAccessKey: 'wrong' };
    const stranger = new S3Client({ region, endpoint: endpoint ?? '', forcePathStyle: true, credentials });
    const forbidden = new S3ObjectBucket(stranger, name);
    return {
      bucket,
      missing,
      forbidden,
      store: (key, bytes) => store(name, key, bytes),
      close: async () => [bucket, missing, forbidden].forEach((each) => each.close()),
    };
  });

  const run = (system: TestSystem, place: string): Promise<CommandResult> =>
    runCommand(['import', place, '--keep-sources', '--promote', 'production', '--json'], {
      ...servers.env,
      MASKTERIAL_REGISTRY: system.registryAddress,
    });

  it('publishes every whole model, names the others, and sends nothing the second time', async () => {
    const bucket = await newBucket();
    const models: Readonly<Record<string, Record<string, Buffer>>> = {
      CLS_AMM_GrapheneH: AMM(1),
      CLS_AMM_WS2: AMM(2),
      SEG_M2F_GrapheneH: m2fFiles(randomM2f(TINY), { optimizerOf: 'sem_seg_head' }),
      CLS_AMM_Incomplete: { 'model.pth': Buffer.alloc(3) },
    };
    for (const [model, files] of Object.entries(models)) {
      for (const [name, bytes] of Object.entries(files)) {
        await store(bucket, `old/${model}/${name}`, bytes);
      }
    }
    await using system = await TestSystem.start({ inference: false });
    const first = await run(system, `s3://${bucket}/old/`);
    assert.equal(first.code, 1, first.err);
    assert.match(first.err, /1 of 4 bundles failed:\n.*CLS_AMM_Incomplete: .*\[INVALID_BUNDLE\]/);
    for (const model of ['CLS_AMM_GrapheneH', 'CLS_AMM_WS2', 'SEG_M2F_GrapheneH']) {
      const { version } = await system.registry.resolve(parseModelReference(model, 'model'));
      const kept = version?.artifacts.filter(({ path }) => path.startsWith('source/')).map(({ path }) => path.slice(7));
      assert.deepEqual(kept?.toSorted(), Object.keys(models[model] ?? {}).toSorted());
    }
    const again = await run(system, `s3://${bucket}/old`);
    const total = JSON.parse(again.out.trimEnd().split('\n').at(-1) ?? '') as Record<string, number>;
    assert.deepEqual([total['new'], total['known'], total['failed'], total['uploaded_files']], [0, 3, 1, 0]);
  });

  it('says what is wrong with the place', async () => {
    await using system = await TestSystem.start({ inference: false });
    const bucket = await newBucket();
    assert.match((await run(system, `s3://${bucket}/nothing`)).err, /INVALID_BUNDLE.*holds no object/);
    const missing = await run(system, `s3://missing-${randomUUID()}`);
    assert.equal(missing.code, 1);
    assert.match(missing.err, /BUCKET_NOT_FOUND/);
  });
});
