import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { CHUNK_BYTES, MESSAGE_BYTES } from '../../proto/wire/chunks.ts';
import { digestOf, refOf } from '../../proto/wire/digest.ts';
import type { Registry } from '../../registry/release/registry.ts';
import type { WatchEvent } from '../../registry/release/watch.ts';
import { bytesOf, collect, createClassifier, never, promotion, publish, stage, upload } from '../support/registry/publish.ts';
import { fileRef, sampleVersion, seededBytes, smallVersion } from '../support/registry/sample-version.ts';
import { hasViolationAt, isError, rejection } from '../support/service-errors.ts';

export interface RegistryFixture {
  readonly registry: Registry;
  close(): Promise<void>;
}

/** What every registry does, whatever stands between it and the caller. */
export function describeRegistry(name: string, open: () => Promise<RegistryFixture>): void {
  describe(`registry: ${name}`, () => {
    let fixture: RegistryFixture;
    let registry: Registry;
    beforeEach(async () => {
      fixture = await open();
      registry = fixture.registry;
    });
    afterEach(() => fixture.close());

    describe('models', () => {
      it('creates a model once', async () => {
        const command = { name: 'AMM', kind: 'classification', description: 'flakes', labels: { material: 'graphene' } } as const;
        const created = await registry.createModel(command, never);
        assert.deepEqual(await registry.getModel('AMM', never), created);
        assert.deepEqual({ latest: created.latestVersion, aliases: created.aliases }, { latest: 0, aliases: [] });
        await assert.rejects(registry.createModel(command, never), isError('already-exists', 'MODEL_EXISTS'));
      });

      it('names every wrong field of a request', async () => {
        const labels = { 'Not a key': 'x', good: 'v'.repeat(256) };
        await assert.rejects(
          registry.createModel({ name: '-bad', kind: undefined, description: 'd'.repeat(1001), labels }, never),
          hasViolationAt('INVALID_REQUEST', 'name', 'kind', 'description', 'labels.Not a key', 'labels.good'),
        );
      });

      it('says what an unknown model may have been meant as', async () => {
        await createClassifier(registry, 'CLS_AMM_GrapheneH');
        await createClassifier(registry, 'SEG_M2F_WSe2L');
        const error = await rejection(registry.getModel('cls_amm_graphene', never));
        assert.deepEqual([error.kind, error.reason], ['not-found', 'MODEL_NOT_FOUND']);
        assert.match(error.message, /CLS_AMM_GrapheneH/);
        assert.doesNotMatch(error.message, /SEG_M2F/);
      });

      it('lists by labels, in order, page by page', async () => {
        for (const index of [3, 1, 4, 2, 5]) {
          await createClassifier(registry, `m${index}`, { material: index % 2 === 0 ? 'hbn' : 'graphene', lab: 'a' });
        }
        const names: string[] = [];
        let pageToken = '';
        do {
          const page = await registry.listModels({ pageSize: 2, pageToken, labels: { material: 'graphene', lab: 'a' } }, never);
          assert.ok(page.items.length <= 2);
          names.push(...page.items.map((model) => model.name));
          pageToken = page.nextPageToken;
        } while (pageToken !== '');
        assert.deepEqual(names, ['m1', 'm3', 'm5']);
        assert.deepEqual((await registry.listModels({ pageSize: 0, pageToken: '', labels: { material: 'wse2' } }, never)).items, []);
      });

      it('refuses a page token of another query', async () => {
        await createClassifier(registry, 'a', { lab: 'x' });
        await createClassifier(registry, 'b', { lab: 'x' });
        const { nextPageToken } = await registry.listModels({ pageSize: 1, pageToken: '', labels: { lab: 'x' } }, never);
        const other = registry.listModels({ pageSize: 1, pageToken: nextPageToken, labels: {} }, never);
        await assert.rejects(other, hasViolationAt('INVALID_PAGE_TOKEN', 'page_token'));
        const nonsense = registry.listModels({ pageSize: 1, pageToken: 'nonsense', labels: {} }, never);
        await assert.rejects(nonsense, hasViolationAt('INVALID_PAGE_TOKEN', 'page_token'));
        await assert.rejects(
          registry.listModels({ pageSize: 1001, pageToken: '', labels: {} }, never),
          hasViolationAt('INVALID_REQUEST', 'page_size'),
        );
      });
    });

    describe('publishing', () => {
      beforeEach(() => createClassifier(registry, 'AMM'));

      it('stages, uploads, finalizes, and gives the bytes back', async () => {
        const big = seededBytes('big', 2 * CHUNK_BYTES + 12345);
        const sample = sampleVersion([big, seededBytes('source', 10), Buffer.alloc(0)]);
        const staged = await registry.stageVersion(
          { model: 'AMM', manifestJson: sample.manifestJson, labels: { run: '7' }, requestId: '' },
          never,
        );
        assert.deepEqual(
          staged.blobs.map(({ blob, isComplete }) => ({ digest: blob.digest, isComplete })),
          sample.manifest.artifacts.map(({ digest }) => ({ digest, isComplete: false })),
        );
        for (const bytes of sample.files) {
          assert.equal((await upload(registry, staged.staging.id, bytes)).isComplete, true);
        }
        const { version, isCreated } = await registry.finalizeVersion({ stagingId: staged.staging.id, requestId: '' }, never);
        assert.equal(isCreated, true);
        assert.deepEqual(
          {
            version: version.version,
            manifest: version.manifest,
            labels: version.labels,
            family: version.family,
            kind: version.kind,
            lineage: version.lineage,
            paths: version.artifacts.map(({ path, role }) => `${role} ${path}`),
          },
          {
            version: 1,
            manifest: refOf(sample.manifestJson),
            labels: { run: '7' },
            family: 'AMM',
            kind: 'classification',
            lineage: sample.manifest.lineage,
            paths: ['serving file-0.onnx', 'source file-1.onnx', 'source file-2.onnx'],
          },
        );
        assert.deepEqual(await registry.getVersion({ model: 'AMM', version: 1 }, never), version);
        assert.equal((await registry.getModel('AMM', never)).latestVersion, 1);
        const whole = await collect(registry.readBlob({ blob: refOf(big), offsetBytes: 0, lengthBytes: undefined }, never));
        assert.ok(whole.equals(big));
        const offsetBytes = CHUNK_BYTES - 7;
        const part = await collect(registry.readBlob({ blob: refOf(big), offsetBytes, lengthBytes: 20 }, never));
        assert.ok(part.equals(big.subarray(offsetBytes, offsetBytes + 20)));
        const none = await collect(registry.readBlob({ blob: refOf(big), offsetBytes: big.byteLength, lengthBytes: undefined }, never));
        assert.equal(none.byteLength, 0);
        const manifest = await collect(
          registry.readBlob({ blob: refOf(sample.manifestJson), offsetBytes: 0, lengthBytes: undefined }, never),
        );
        assert.ok(manifest.equals(sample.manifestJson));
      });

      it('resumes a broken upload at a chunk boundary', async () => {
        const big = seededBytes('resumed', 3 * CHUNK_BYTES);
        const stagingId = await stage(registry, 'AMM', sampleVersion([big]));
        const partial = await upload(registry, stagingId, big, { upTo: CHUNK_BYTES });
        assert.deepEqual([partial.isComplete, partial.verifiedChunks], [false, [{ first: 0, count: 1 }]]);
        await upload(registry, stagingId, big, { firstChunk: 2 });
        const { blobs } = await registry.getStaging(stagingId, never);
        assert.deepEqual(blobs[0]?.verifiedChunks, [
          { first: 0, count: 1 },
          { first: 2, count: 1 },
        ]);
        const done = await upload(registry, stagingId, big, { firstChunk: 1, upTo: 2 * CHUNK_BYTES });
        assert.deepEqual([done.isComplete, done.verifiedChunks], [true, []]);
        assert.equal((await registry.finalizeVersion({ stagingId, requestId: '' }, never)).version.version, 1);
      });

      it('needs no upload of what is stored already', async () => {
        const shared = seededBytes('shared', 5000);
        await publish(registry, 'AMM', sampleVersion([shared]));
        const second = sampleVersion([shared, seededBytes('more', 100)]);
        const staged = await registry.stageVersion(
          { model: 'AMM', manifestJson: second.manifestJson, labels: {}, requestId: '' },
          never,
        );
        assert.deepEqual(
          staged.blobs.map(({ isComplete }) => isComplete),
          [true, false],
        );
        assert.equal((await upload(registry, staged.staging.id, shared)).isComplete, true);
      });

      it('gives the version that the model has for a manifest published again', async () => {
        const sample = smallVersion('again');
        const first = await publish(registry, 'AMM', sample);
        await publish(registry, 'AMM', smallVersion('between'));
        const again = await publish(registry, 'AMM', sample);
        assert.deepEqual(again, { version: first.version, isCreated: false });
        assert.equal((await registry.getModel('AMM', never)).latestVersion, 2);
      });

      it('numbers versions without gaps when many are finalized at once', async () => {
        const samples = Array.from({ length: 8 }, (_, index) => smallVersion(`parallel ${index % 6}`));
        const finalized = await Promise.all(samples.map((sample) => publish(registry, 'AMM', sample)));
        const created = finalized.filter(({ isCreated }) => isCreated).map(({ version }) => version.version);
        assert.deepEqual(created.toSorted(), [1, 2, 3, 4, 5, 6]);
        for (const [index, { version }] of finalized.entries()) {
          assert.equal(version.manifest.digest, digestOf(samples[index]?.manifestJson ?? Buffer.alloc(0)));
        }
        const { items } = await registry.listVersions({ model: 'AMM', pageSize: 4, pageToken: '', labels: {} }, never);
        assert.deepEqual(
          items.map(({ version }) => version),
          [6, 5, 4, 3],
        );
      });

      it('lists versions by labels, newest first', async () => {
        for (const [seed, labels] of [
          ['a', { run: '1', good: 'yes' }],
          ['b', { run: '2', good: 'no' }],
          ['c', { run: '3', good: 'yes' }],
        ] as const) {
          const { manifestJson, files } = smallVersion(seed);
          const { staging } = await registry.stageVersion({ model: 'AMM', manifestJson, labels, requestId: '' }, never);
          for (const bytes of files) {
            await upload(registry, staging.id, bytes);
          }
          await registry.finalizeVersion({ stagingId: staging.id, requestId: '' }, never);
        }
        const query = { model: 'AMM', pageSize: 1, labels: { good: 'yes' } };
        const first = await registry.listVersions({ ...query, pageToken: '' }, never);
        const second = await registry.listVersions({ ...query, pageToken: first.nextPageToken }, never);
        assert.deepEqual([first.items[0]?.version, second.items[0]?.version, second.nextPageToken], [3, 1, '']);
      });

      it('answers a repeated request as the first time', async () => {
        const sample = smallVersion('idempotent');
        const stagingId = await stage(registry, 'AMM', sample, 'stage-1');
        assert.equal(await stage(registry, 'AMM', sample, 'stage-1'), stagingId);
        await assert.rejects(stage(registry, 'AMM', smallVersion('other'), 'stage-1'), hasViolationAt('REQUEST_ID_REUSED', 'request_id'));
        for (const bytes of sample.files) {
          await upload(registry, stagingId, bytes);
        }
        const first = await registry.finalizeVersion({ stagingId, requestId: 'finalize-1' }, never);
        assert.deepEqual(await registry.finalizeVersion({ stagingId, requestId: 'finalize-1' }, never), first);
        assert.equal(first.isCreated, true);
        assert.deepEqual(await registry.finalizeVersion({ stagingId, requestId: '' }, never), { ...first, isCreated: false });
        const other = await stage(registry, 'AMM', smallVersion('other'));
        await assert.rejects(
          registry.finalizeVersion({ stagingId: other, requestId: 'finalize-1' }, never),
          hasViolationAt('REQUEST_ID_REUSED', 'request_id'),
        );
      });

      it('shows nothing of an unfinished version', async () => {
        const sample = smallVersion('hidden');
        const stagingId = await stage(registry, 'AMM', sample);
        for (const bytes of sample.files) {
          await upload(registry, stagingId, bytes);
        }
        assert.equal((await registry.getModel('AMM', never)).latestVersion, 0);
        assert.deepEqual((await registry.listVersions({ model: 'AMM', pageSize: 0, pageToken: '', labels: {} }, never)).items, []);
        await assert.rejects(registry.getVersion({ model: 'AMM', version: 1 }, never), isError('not-found', 'VERSION_NOT_FOUND'));
        await assert.rejects(
          registry.resolveVersion({ model: 'AMM', ref: { kind: 'alias', alias: 'latest' } }, never),
          isError('not-found', 'VERSION_NOT_FOUND'),
        );
        await assert.rejects(
          registry.promoteVersion(promotion({ model: 'AMM' }), never),
          isError('not-found', 'VERSION_NOT_FOUND'),
        );
        for (const blob of [fileRef(sample, 0), refOf(sample.manifestJson)]) {
          const read = collect(registry.readBlob({ blob, offsetBytes: 0, lengthBytes: undefined }, never));
          await assert.rejects(read, isError('not-found', 'BLOB_NOT_FOUND'));
        }
      });
    });

    describe('bad uploads', () => {
      beforeEach(() => createClassifier(registry, 'AMM'));

      it('refuses wrong bytes with both digests and stores nothing of them', async () => {
        const right = seededBytes('right', 1000);
        const wrong = seededBytes('wrong', 1000);
        const stagingId = await stage(registry, 'AMM', sampleVersion([right]));
        const command = { stagingId, blob: refOf(right), firstChunk: 0, data: bytesOf(wrong) };
        const error = await rejection(registry.uploadBlob(command, never));
        assert.deepEqual([error.kind, error.reason], ['data-loss', 'DIGEST_MISMATCH']);
        assert.ok(error.message.includes(digestOf(right)) && error.message.includes(digestOf(wrong)));
        const { blobs } = await registry.getStaging(stagingId, never);
        assert.deepEqual([blobs[0]?.isComplete, blobs[0]?.verifiedChunks], [false, []]);
      });

      it('refuses a chunk that is cut short, and bytes beyond the end', async () => {
        const right = seededBytes('sized', CHUNK_BYTES + 100);
        const stagingId = await stage(registry, 'AMM', sampleVersion([right]));
        await assert.rejects(upload(registry, stagingId, right, { upTo: CHUNK_BYTES + 99 }), isError('data-loss', 'SIZE_MISMATCH'));
        const longer = Buffer.concat([right, Buffer.from('x')]);
        const command = { stagingId, blob: refOf(right), firstChunk: 0, data: bytesOf(longer) };
        await assert.rejects(registry.uploadBlob(command, never), isError('data-loss', 'SIZE_MISMATCH'));
        const whole = seededBytes('whole', CHUNK_BYTES);
        const second = await stage(registry, 'AMM', sampleVersion([whole]));
        const beyond = { stagingId: second, blob: refOf(whole), firstChunk: 0, data: bytesOf(Buffer.concat([whole, Buffer.from('x')])) };
        await assert.rejects(registry.uploadBlob(beyond, never), isError('data-loss', 'SIZE_MISMATCH'));
      });

      it('takes what a staging declares only', async () => {
        const sample = smallVersion('declared');
        const stagingId = await stage(registry, 'AMM', sample);
        await assert.rejects(upload(registry, stagingId, seededBytes('stray', 10)), isError('not-found', 'BLOB_NOT_DECLARED'));
        await assert.rejects(upload(registry, 'no-such-staging', seededBytes('a', 10)), isError('not-found', 'STAGING_NOT_FOUND'));
        await assert.rejects(registry.getStaging('', never), isError('not-found', 'STAGING_NOT_FOUND'));
        const [bytes] = sample.files;
        assert.ok(bytes !== undefined);
        const wrongSize = { stagingId, blob: { ...refOf(bytes), sizeBytes: 999 }, firstChunk: 0, data: bytesOf(bytes) };
        await assert.rejects(registry.uploadBlob(wrongSize, never), isError('not-found', 'BLOB_NOT_DECLARED'));
        await assert.rejects(
          upload(registry, stagingId, bytes, { firstChunk: 1 }),
          hasViolationAt('INVALID_REQUEST', 'header.first_chunk'),
        );
        const malformed = { stagingId, blob: { digest: 'md5:1', sizeBytes: -1 }, firstChunk: 0, data: bytesOf(bytes) };
        if (name !== 'over gRPC') {
          // A negative size cannot even be encoded.
          await assert.rejects(
            registry.uploadBlob(malformed, never),
            hasViolationAt('INVALID_REQUEST', 'header.blob.digest', 'header.blob.size_bytes'),
          );
        }
        await assert.rejects(
          registry.uploadBlob({ ...malformed, blob: undefined }, never),
          hasViolationAt('INVALID_REQUEST', 'header.blob'),
        );
      });

      it('finalizes nothing while blobs are missing, and names them', async () => {
        const sample = smallVersion('incomplete');
        const [first, second] = sample.files;
        assert.ok(first !== undefined && second !== undefined);
        const stagingId = await stage(registry, 'AMM', sample);
        await upload(registry, stagingId, first);
        const error = await rejection(registry.finalizeVersion({ stagingId, requestId: 'f' }, never));
        assert.deepEqual([error.kind, error.reason, error.metadata['missing_count']], ['failed-precondition', 'BLOBS_MISSING', '1']);
        assert.ok(error.message.includes(digestOf(second)) && !error.message.includes(digestOf(first)));
        await upload(registry, stagingId, second);
        assert.equal((await registry.finalizeVersion({ stagingId, requestId: 'f' }, never)).isCreated, true);
        await assert.rejects(
          registry.finalizeVersion({ stagingId: 'no-such-staging', requestId: '' }, never),
          isError('not-found', 'STAGING_NOT_FOUND'),
        );
      });

      it('refuses a manifest whose chunk list is not that of the stored bytes', async () => {
        const bytes = seededBytes('divided', CHUNK_BYTES + 5);
        await publish(registry, 'AMM', sampleVersion([bytes]));
        const lying = sampleVersion([bytes, seededBytes('x', 5)], (manifest) => ({
          ...manifest,
          artifacts: manifest.artifacts.map((artifact, index) =>
            index === 0 ? { ...artifact, chunks: artifact.chunks.toReversed() } : artifact,
          ),
        }));
        await assert.rejects(publish(registry, 'AMM', lying), isError('data-loss', 'DIGEST_MISMATCH'));
        assert.equal((await registry.getModel('AMM', never)).latestVersion, 1);
      });

      it('refuses chunks that verify but do not make the declared digest, and starts over', async () => {
        const bytes = seededBytes('claimed', 1000);
        const other = seededBytes('uploaded', 1000);
        const lying = sampleVersion([bytes], (manifest) => ({
          ...manifest,
          artifacts: manifest.artifacts.map((artifact) => ({ ...artifact, chunks: [digestOf(other)] })),
        }));
        const stagingId = await stage(registry, 'AMM', lying);
        const command = { stagingId, blob: refOf(bytes), firstChunk: 0, data: bytesOf(other) };
        const error = await rejection(registry.uploadBlob(command, never));
        assert.deepEqual([error.kind, error.reason], ['data-loss', 'DIGEST_MISMATCH']);
        assert.ok(error.message.includes(digestOf(bytes)) && error.message.includes(digestOf(other)));
        assert.deepEqual((await registry.getStaging(stagingId, never)).blobs[0]?.verifiedChunks, []);
        assert.equal((await publish(registry, 'AMM', sampleVersion([bytes]))).version.version, 1);
      });

      it('refuses a manifest that is wrong, of another kind, or for no model', async () => {
        const nothing = { model: 'AMM', manifestJson: Buffer.from('{}'), labels: {}, requestId: '' };
        await assert.rejects(registry.stageVersion(nothing, never), isError('invalid-argument', 'INVALID_MANIFEST'));
        const long = smallVersion('long').manifest;
        const lineage = { ...long.lineage, dataset: 'd'.repeat(130 * 1024) };
        const manifestJson = Buffer.from(JSON.stringify({ ...long, lineage }));
        await assert.rejects(
          registry.stageVersion({ ...nothing, manifestJson }, never),
          hasViolationAt('INVALID_MANIFEST', 'manifest_json.lineage'),
        );
        const segmentation = { name: 'SEG', kind: 'segmentation', description: '', labels: {} } as const;
        await registry.createModel(segmentation, never);
        await assert.rejects(stage(registry, 'SEG', smallVersion('x')), isError('failed-precondition', 'KIND_MISMATCH'));
        await assert.rejects(stage(registry, 'AMMM', smallVersion('x')), isError('not-found', 'MODEL_NOT_FOUND'));
        await assert.rejects(
          registry.stageVersion({ model: '', manifestJson: Buffer.alloc(0), labels: { Bad: '' }, requestId: 'r'.repeat(129) }, never),
          hasViolationAt('INVALID_REQUEST', 'model', 'labels.Bad', 'request_id'),
        );
      });

      it('reads ranges of finalized blobs only', async () => {
        const sample = smallVersion('ranges');
        await publish(registry, 'AMM', sample);
        const blob = fileRef(sample, 0);
        const read = (change: object): Promise<Buffer> =>
          collect(registry.readBlob({ blob, offsetBytes: 0, lengthBytes: undefined, ...change }, never));
        await assert.rejects(read({ blob: { ...blob, sizeBytes: 999 } }), isError('not-found', 'BLOB_NOT_FOUND'));
        await assert.rejects(read({ blob: refOf(seededBytes('unknown', 5)) }), isError('not-found', 'BLOB_NOT_FOUND'));
        await assert.rejects(read({ offsetBytes: 1001 }), hasViolationAt('INVALID_REQUEST', 'offset_bytes'));
        await assert.rejects(read({ offsetBytes: 990, lengthBytes: 11 }), hasViolationAt('INVALID_REQUEST', 'length_bytes'));
        await assert.rejects(read({ blob: undefined }), hasViolationAt('INVALID_REQUEST', 'blob'));
      });
    });

    describe('aliases', () => {
      beforeEach(async () => {
        await createClassifier(registry, 'AMM');
        for (const seed of ['one', 'two', 'three']) {
          await publish(registry, 'AMM', smallVersion(seed));
        }
      });

      const promote = (version: number, change: object = {}) =>
        registry.promoteVersion(promotion({ model: 'AMM', version, ...change }), never);
      const rollback = (change: object = {}) => {
        const { version: _, ...command } = promotion({ model: 'AMM', ...change });
        return registry.rollbackAlias(command, never);
      };

      it('promotes, and tells what was there before', async () => {
        const first = await promote(2);
        assert.deepEqual([first.alias.version, first.alias.revision, first.previousVersion], [2, 1, 0]);
        const second = await promote(3);
        assert.deepEqual([second.alias.version, second.alias.revision, second.previousVersion], [3, 2, 2]);
        const { aliases } = await registry.getModel('AMM', never);
        assert.deepEqual(
          aliases.map(({ alias, version, revision }) => [alias, version, revision]),
          [['production', 3, 2]],
        );
        assert.equal(aliases[0]?.manifest.digest, (await registry.getVersion({ model: 'AMM', version: 3 }, never)).manifest.digest);
      });

      it('compares the expected revision', async () => {
        await promote(1, { expectedRevision: 0 });
        await promote(2, { expectedRevision: 1 });
        for (const expectedRevision of [0, 1, 3]) {
          const error = await rejection(promote(3, { expectedRevision }));
          assert.deepEqual(
            [error.kind, error.reason, error.metadata['current_revision'], error.metadata['current_version']],
            ['aborted', 'REVISION_CONFLICT', '2', '2'],
          );
        }
        const missing = await rejection(promote(1, { alias: 'canary', expectedRevision: 4 }));
        assert.deepEqual([missing.reason, missing.metadata['current_revision']], ['REVISION_CONFLICT', '0']);
      });

      it('leaves an alias alone that points there already', async () => {
        const { alias } = await promote(1);
        assert.deepEqual(await promote(1), { alias, previousVersion: 1 });
        assert.deepEqual(await promote(1, { expectedRevision: 1, requestId: 'same' }), { alias, previousVersion: 1 });
        await promote(2);
        assert.deepEqual(await promote(1, { expectedRevision: 1, requestId: 'same' }), { alias, previousVersion: 1 });
        const { items } = await registry.listAliasEvents({ model: 'AMM', alias: '', pageSize: 0, pageToken: '' }, never);
        assert.equal(items.length, 2);
        const conflict = await rejection(promote(2, { expectedRevision: 1 }));
        assert.equal(conflict.reason, 'REVISION_CONFLICT');
      });

      it('answers a repeated move as the first time', async () => {
        const first = await promote(1, { requestId: 'p' });
        await promote(2);
        assert.deepEqual(await promote(1, { requestId: 'p' }), first);
        await assert.rejects(promote(3, { requestId: 'p' }), hasViolationAt('REQUEST_ID_REUSED', 'request_id'));
        const back = await rollback({ requestId: 'r' });
        assert.deepEqual(await rollback({ requestId: 'r' }), back);
        assert.deepEqual([back.alias.version, back.alias.revision, back.previousVersion], [1, 3, 2]);
        await assert.rejects(rollback({ requestId: 'r', reason: 'other' }), hasViolationAt('REQUEST_ID_REUSED', 'request_id'));
        // One id may serve a promotion and a rollback: they are different requests.
        await promote(2, { requestId: 'r' });
      });

      it('refuses reserved and malformed names, listing all that is wrong', async () => {
        for (const alias of ['latest', 'LATEST', 'v1', 'V22']) {
          await assert.rejects(promote(1, { alias }), hasViolationAt('RESERVED_ALIAS', 'alias'));
        }
        await assert.rejects(
          promote(0, { alias: 'latest', model: 'no name', reason: 'r'.repeat(1001), actor: 'a'.repeat(201) }),
          hasViolationAt('INVALID_REQUEST', 'version', 'alias', 'model', 'reason', 'actor'),
        );
        await assert.rejects(promote(1, { alias: 'Production' }), hasViolationAt('INVALID_REQUEST', 'alias'));
      });

      it('names what does not exist', async () => {
        await promote(1);
        const version = await rejection(promote(9));
        assert.deepEqual([version.kind, version.reason], ['not-found', 'VERSION_NOT_FOUND']);
        assert.match(version.message, /1 to 3/);
        await assert.rejects(promote(1, { model: 'GMM' }), isError('not-found', 'MODEL_NOT_FOUND'));
        await assert.rejects(rollback({ model: 'GMM' }), isError('not-found', 'MODEL_NOT_FOUND'));
        const alias = await rejection(
          registry.resolveVersion({ model: 'AMM', ref: { kind: 'alias', alias: 'prodction' } }, never),
        );
        assert.deepEqual([alias.kind, alias.reason], ['not-found', 'ALIAS_NOT_FOUND']);
        assert.match(alias.message, /"production"/);
        await assert.rejects(rollback({ alias: 'canary' }), isError('not-found', 'ALIAS_NOT_FOUND'));
        await assert.rejects(
          registry.resolveVersion({ model: 'AMM', ref: undefined }, never),
          hasViolationAt('INVALID_REQUEST', 'ref'),
        );
        await assert.rejects(
          registry.resolveVersion({ model: 'AMM', ref: { kind: 'alias', alias: 'v1' } }, never),
          hasViolationAt('INVALID_REQUEST', 'alias'),
        );
      });

      it('rolls back one promotion after another, like undo', async () => {
        await promote(1);
        await promote(2);
        await promote(3);
        assert.equal((await rollback()).alias.version, 2);
        assert.equal((await rollback({ expectedRevision: 4 })).alias.version, 1);
        await assert.rejects(rollback(), isError('failed-precondition', 'NO_PREVIOUS_VERSION'));
        const again = await promote(3);
        assert.deepEqual([again.alias.revision, again.previousVersion], [6, 1]);
        assert.equal((await rollback()).alias.version, 1);
        await assert.rejects(rollback(), isError('failed-precondition', 'NO_PREVIOUS_VERSION'));
        await assert.rejects(rollback({ expectedRevision: 1 }), isError('aborted', 'REVISION_CONFLICT'));
      });

      it('keeps who, when, why, from and to', async () => {
        await promote(1, { actor: 'ada', reason: 'first' });
        await promote(2, { alias: 'canary', actor: 'bob' });
        await promote(2, { actor: 'cyd', reason: 'better' });
        await rollback({ actor: 'dan', reason: 'worse' });
        const list = async (alias: string, pageSize = 0, pageToken = '') =>
          registry.listAliasEvents({ model: 'AMM', alias, pageSize, pageToken }, never);
        const { items } = await list('production');
        assert.deepEqual(
          items.map(({ state, action, fromVersion, actor, reason }) => [
            state.revision,
            action,
            fromVersion,
            state.version,
            actor,
            reason,
          ]),
          [
            [3, 'rollback', 2, 1, { name: 'dan', isVerified: false }, 'worse'],
            [2, 'promote', 1, 2, { name: 'cyd', isVerified: false }, 'better'],
            [1, 'promote', 0, 1, { name: 'ada', isVerified: false }, 'first'],
          ],
        );
        assert.ok(items.every(({ state }) => state.updateTimeMs > Date.UTC(2020, 0, 1)));
        const first = await list('', 3);
        const second = await list('', 3, first.nextPageToken);
        const names = [...first.items, ...second.items].map(({ actor }) => actor.name);
        assert.deepEqual([names, second.nextPageToken], [['dan', 'cyd', 'bob', 'ada'], '']);
        await assert.rejects(list('canary', 3, first.nextPageToken), hasViolationAt('INVALID_PAGE_TOKEN', 'page_token'));
        await assert.rejects(list('Latest'), hasViolationAt('INVALID_REQUEST', 'alias'));
        await assert.rejects(
          registry.listAliasEvents({ model: 'none', alias: '', pageSize: 0, pageToken: '' }, never),
          isError('not-found', 'MODEL_NOT_FOUND'),
        );
      });

      it('resolves by version, alias and latest, with places to read from', async () => {
        await promote(2);
        const sample = smallVersion('two');
        const byAlias = await registry.resolveVersion({ model: 'AMM', ref: { kind: 'alias', alias: 'production' } }, never);
        assert.deepEqual([byAlias.version.version, byAlias.alias?.revision], [2, 1]);
        assert.ok(Buffer.from(byAlias.manifestJson).equals(sample.manifestJson));
        const digests = [digestOf(sample.manifestJson), ...sample.manifest.artifacts.map(({ digest }) => digest)];
        assert.deepEqual(
          byAlias.locations.map(({ digest }) => digest),
          digests,
        );
        for (const { locations } of byAlias.locations) {
          assert.equal(locations.at(-1)?.kind, 'registry');
        }
        const byNumber = await registry.resolveVersion({ model: 'AMM', ref: { kind: 'version', version: 1 } }, never);
        assert.deepEqual([byNumber.version.version, byNumber.alias], [1, undefined]);
        const latest = await registry.resolveVersion({ model: 'AMM', ref: { kind: 'alias', alias: 'latest' } }, never);
        assert.deepEqual([latest.version.version, latest.alias], [3, undefined]);
      });
    });

    describe('watch', () => {
      beforeEach(async () => {
        await createClassifier(registry, 'AMM');
        for (const seed of ['one', 'two', 'three']) {
          await publish(registry, 'AMM', smallVersion(seed));
        }
        await registry.promoteVersion(promotion({ model: 'AMM', version: 1 }), never);
      });

      const watch = (cursor = '') => {
        const stop = new AbortController();
        const events = registry.watchAliases({ cursor, heartbeatSeconds: 3600 }, stop.signal)[Symbol.asyncIterator]();
        const next = async (): Promise<WatchEvent> => {
          const { value, done } = await events.next();
          assert.ok(done !== true, 'the watch ended');
          return value;
        };
        return { next, stop: () => stop.abort(), events };
      };

      it('gives a snapshot, then each change once and in order', async () => {
        const { next, stop } = watch();
        const snapshot = await next();
        assert.ok(snapshot.kind === 'snapshot' && snapshot.isComplete);
        assert.deepEqual(
          snapshot.aliases.map(({ alias, version, revision }) => [alias, version, revision]),
          [['production', 1, 1]],
        );
        const waiting = next();
        await registry.promoteVersion(promotion({ model: 'AMM', version: 2 }), never);
        await registry.promoteVersion(promotion({ model: 'AMM', version: 3, alias: 'canary' }), never);
        const changes = [await waiting, await next()];
        assert.deepEqual(
          changes.map((event) => (event.kind === 'change' ? [event.alias.alias, event.alias.version, event.alias.revision] : event.kind)),
          [
            ['production', 2, 2],
            ['canary', 3, 1],
          ],
        );
        stop();
      });

      it('goes on after a cursor without a snapshot', async () => {
        const first = watch();
        const { cursor } = await first.next();
        first.stop();
        for (const version of [2, 3]) {
          await registry.promoteVersion(promotion({ model: 'AMM', version }), never);
        }
        const second = watch(cursor);
        const change = await second.next();
        assert.ok(change.kind === 'change');
        assert.equal(change.alias.version, 2);
        second.stop();
        const third = watch(change.cursor);
        const last = await third.next();
        assert.ok(last.kind === 'change');
        assert.equal(last.alias.version, 3);
        third.stop();
      });

      it('starts again with a snapshot after the cursor of another store', async () => {
        const foreign = Buffer.from('1.1.another-store').toString('base64url');
        const { next, stop } = watch(foreign);
        assert.equal((await next()).kind, 'snapshot');
        stop();
      });

      it('refuses what is no cursor, and a heartbeat out of range', async () => {
        await assert.rejects(watch('nonsense').next(), hasViolationAt('INVALID_CURSOR', 'cursor'));
        const slow = registry.watchAliases({ cursor: '', heartbeatSeconds: 3601 }, never)[Symbol.asyncIterator]();
        await assert.rejects(Promise.resolve(slow.next()), hasViolationAt('INVALID_REQUEST', 'heartbeat_seconds'));
      });

      it('ends when the caller leaves', async () => {
        const { next, stop } = watch();
        await next();
        const waiting = next();
        stop();
        await assert.rejects(waiting, isError('cancelled', 'CANCELLED'));
      });
    });

    it('sends a blob in messages of bounded size', async () => {
      await createClassifier(registry, 'AMM');
      const big = seededBytes('messages', 3 * MESSAGE_BYTES + 1);
      await publish(registry, 'AMM', sampleVersion([big]));
      for await (const piece of registry.readBlob({ blob: refOf(big), offsetBytes: 1, lengthBytes: undefined }, never)) {
        assert.ok(piece.byteLength <= MESSAGE_BYTES);
      }
    });
  });
}
