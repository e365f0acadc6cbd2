import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { after, beforeEach, test } from 'node:test';
import { S3ObjectBucket } from '../../../../clients/adapters/s3-object-bucket.ts';
import { findInBucket } from '../../../../clients/cli/bucket/find-in-bucket.ts';
import { parseBucketPlace } from '../../../../clients/cli/bucket/object-bucket.ts';
import type { Candidate } from '../../../../clients/cli/candidate.ts';
import { createUploadProgress } from '../../../../clients/cli/upload-progress.ts';
import { awsError } from '../../../support/aws/fake-client.ts';
import { MemoryS3 } from '../../../support/aws/memory-s3.ts';
import { ammFiles, contrastDict, randomAmm, randomGmm } from '../../../support/bundle-models.ts';
import { manualRetry } from '../../../support/manual-retry.ts';
import { MemoryOutput } from '../../../support/memory-output.ts';
import { never } from '../../../support/registry/publish.ts';
import { runCommand } from '../../../support/run-command.ts';
import { isError, rejection } from '../../../support/service-errors.ts';

const AMM: Record<string, Buffer> = ammFiles(randomAmm({ classCount: 3, embeddingSize: 4, depth: 1, hasSpectralNorm: true }));
const GMM = { 'contrast_dict.json': contrastDict(randomGmm(['1', '2'])) };

// Looked into for what stays behind.
const temporary = await mkdtemp(join(tmpdir(), 'find-in-bucket-'));
process.env['TMPDIR'] = temporary;
after(() => rm(temporary, { recursive: true }));

let s3: MemoryS3;
let retries: ReturnType<typeof manualRetry>;
let err: MemoryOutput;
beforeEach(() => {
  s3 = new MemoryS3();
  retries = manualRetry();
  err = new MemoryOutput();
});

function store(folder: string, files: Readonly<Record<string, Buffer>>): void {
  for (const [name, bytes] of Object.entries(files)) {
    s3.store(`${folder}/${name}`, bytes);
  }
}

function find(prefix = 'models'): Promise<Candidate[]> {
  return findInBucket(new S3ObjectBucket(s3.sender, 'bucket'), prefix, { keepSources: true }, retries, never);
}

/** Opens, looks and closes. */
async function nameOf(candidate: Candidate | undefined): Promise<string | undefined> {
  const publishable = await candidate?.open(createUploadProgress(err), never);
  await publishable?.close();
  return publishable?.suggestedName;
}

test('finds a model in each folder and fetches only the files that bundles have', async () => {
  store('models/CLS_AMM_A', { ...AMM, 'train.log': Buffer.alloc(10) });
  store('models/deep/CLS_GMM_B', GMM);
  s3.store('models/README.md', Buffer.alloc(1));
  s3.store('modelsother/CLS_GMM_C/contrast_dict.json', Buffer.alloc(1));
  const candidates = await find();
  assert.deepEqual(
    candidates.map(({ path }) => path),
    ['s3://bucket/models/CLS_AMM_A', 's3://bucket/models/deep/CLS_GMM_B'],
  );
  assert.deepEqual(await Promise.all(candidates.map(nameOf)), ['CLS_AMM_A', 'CLS_GMM_B']);
  const read = s3.client.sent.flatMap(({ name, input }) => (name === 'GetObject' ? [String(input['Key'])] : []));
  assert.deepEqual(read.toSorted(), [
    ...Object.keys(AMM)
      .map((name) => `models/CLS_AMM_A/${name}`)
      .toSorted(),
    'models/deep/CLS_GMM_B/contrast_dict.json',
  ]);
  assert.match(err.text, /fetching model\.pth\n/);
  assert.deepEqual(await readdir(temporary), []);
});

test("the folders of MaskTerial's own server tell models of one name apart", async () => {
  store('data/models/classification_models/AMM/WSe2', AMM);
  store('data/models/classification_models/GMM/WSe2', GMM);
  assert.deepEqual(await Promise.all((await find('data')).map(nameOf)), ['CLS_AMM_WSe2', 'CLS_GMM_WSe2']);
});

test('a folder that holds nothing else names a bundle in it, where it is called as published models are', async () => {
  store('set/CLS_AMM_WSe2/WSe2', AMM);
  store('set/CLS_GMM_WSe2/WSe2', GMM);
  assert.deepEqual(await Promise.all((await find('set')).map(nameOf)), ['CLS_AMM_WSe2', 'CLS_GMM_WSe2']);
  assert.deepEqual(await Promise.all((await find('set/CLS_AMM_WSe2')).map(nameOf)), ['CLS_AMM_WSe2']);
});

test('the prefix may be a model itself, or nothing', async () => {
  store('CLS_GMM_B', GMM);
  for (const prefix of ['', 'CLS_GMM_B']) {
    const candidates = await find(prefix);
    assert.deepEqual(
      candidates.map(({ path }) => path),
      ['s3://bucket/CLS_GMM_B'],
    );
    assert.equal(await nameOf(candidates[0]), 'CLS_GMM_B');
  }
});

test('a model that lacks files, or whose folder is no name, is refused before anything is fetched', async () => {
  const { 'model.pth': _, ...incomplete } = AMM;
  store('models/CLS_AMM_A', incomplete);
  store('models/two words', GMM);
  const [amm, gmm] = await find();
  const missing = await rejection(nameOf(amm));
  assert.deepEqual([missing.kind, missing.reason], ['invalid-argument', 'INVALID_BUNDLE']);
  assert.match(missing.message, /CLS_AMM_A: .*misses model\.pth/);
  await assert.rejects(nameOf(gmm), /no name of a model/);
  assert.equal(s3.client.names.includes('GetObject'), false);
});

test('an empty prefix, and one without models, are told apart', async () => {
  await assert.rejects(find(), isError('invalid-argument', 'INVALID_BUNDLE'));
  await assert.rejects(find(), /s3:\/\/bucket\/models: holds no object/);
  s3.store('models/a.jpg', Buffer.alloc(1));
  await assert.rejects(find(), /holds 1 objects, none of them/);
});

test('a transfer that breaks goes on where it was', async () => {
  store('models/CLS_GMM_B', GMM);
  let count = 0;
  s3.body = (bytes) => {
    count += 1;
    return count > 6 ? Readable.from([bytes]) : Readable.from([bytes.subarray(0, count % 2 === 1 ? 3 : 0)]);
  };
  const [gmm] = await find();
  assert.equal(await nameOf(gmm), 'CLS_GMM_B');
  const ranges = s3.client.sent.flatMap(({ name, input }) => (name === 'GetObject' ? [String(input['Range'])] : []));
  const last = GMM['contrast_dict.json'].byteLength - 1;
  assert.deepEqual(
    ranges,
    [0, 3, 3, 6, 6, 9, 9].map((first) => `bytes=${first}-${last}`),
  );
  assert.equal(retries.waits.length, 6);
});

test('a transfer that brings nothing is given up, and leaves nothing behind', async () => {
  store('models/CLS_GMM_B', GMM);
  const [gmm] = await find();
  s3.body = () => Readable.from([]);
  await assert.rejects(nameOf(gmm), isError('unavailable', 'STORAGE_UNAVAILABLE'));
  assert.equal(retries.waits.length, 4);
  s3.client.before = ({ name }) => {
    if (name === 'GetObject') {
      throw awsError('AccessDenied', 403);
    }
  };
  await assert.rejects(nameOf(gmm), isError('failed-precondition', 'BUCKET_ACCESS_DENIED'));
  assert.equal(retries.waits.length, 4);
  assert.deepEqual(await readdir(temporary), []);
});

test('places are read as people write them', () => {
  const places: readonly (readonly [string, readonly [string, string] | undefined])[] = [
    ['s3://bucket', ['bucket', '']],
    ['s3://bucket/', ['bucket', '']],
    ['s3://bucket/a/b/', ['bucket', 'a/b']],
    ['s3://bucket//a', ['bucket', 'a']],
    ['s3://', undefined],
    ['s3://B', undefined],
    ['bucket/a', undefined],
  ];
  for (const [text, expected] of places) {
    const place = parseBucketPlace(text);
    assert.deepEqual(place === undefined ? undefined : [place.bucket, place.prefix], expected, text);
  }
});

test('options that mean nothing for a bucket, or for a folder, are refused', async () => {
  for (const args of [
    ['import', 's3://bucket/models', '--out', 'x'],
    ['import', 's3://bucket/models', '--name', 'x'],
    ['import', 's3://NOT'],
    ['import', '.', '--promote', 'production'],
    ['import', '.', '--no-create'],
    ['publish', 's3://bucket/models'],
  ]) {
    const { code, err: said } = await runCommand(args);
    assert.equal(code, 2, said);
    assert.match(said, /\[USAGE\]/);
  }
  assert.equal((await runCommand(['import', 's3://bucket'], { AWS_ENDPOINT_URL: 'nonsense' })).code, 2);
});
