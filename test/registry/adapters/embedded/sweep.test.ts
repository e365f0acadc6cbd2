import assert from 'node:assert/strict';
import { mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { it } from 'node:test';
import { createLogger } from '../../../../infra/process/log.ts';
import { CHUNK_BYTES } from '../../../../proto/wire/chunks.ts';
import { FolderBlobStore } from '../../../../registry/adapters/embedded/folder-blob-store.ts';
import { prepareLayout } from '../../../../registry/adapters/embedded/layout.ts';
import { PartialBlob } from '../../../../registry/adapters/embedded/partial-blob.ts';
import { sweepPartials } from '../../../../registry/adapters/embedded/sweep.ts';
import { readRegistryConfig } from '../../../../registry/config.ts';
import { startRegistry } from '../../../../registry/main.ts';
import { never } from '../../../support/registry/publish.ts';
import { chunkedBlob, seededBytes } from '../../../support/registry/sample-version.ts';
import { temporaryFolder } from '../../../support/registry/temporary-folder.ts';

it('removes what a killed process left and nobody goes on with, and keeps uploads that can be resumed', async () => {
  await using folder = await temporaryFolder();
  const layout = await prepareLayout(folder.path);
  const store = new FolderBlobStore(layout);
  const resumable = seededBytes('resumable', CHUNK_BYTES + 5);
  const upload = await store.openUpload(chunkedBlob(resumable), never);
  await upload.putChunk(0, resumable.subarray(0, CHUNK_BYTES), never);
  await upload.close();
  const bytes = seededBytes('published', 10);
  const published = chunkedBlob(bytes);
  const whole = await store.openUpload(published, never);
  await whole.putChunk(0, bytes, never);
  await whole.commit(never);
  await whole.close();
  // Killed between its publication and its removal; of the same blob divided in another way; in the middle of a move.
  await mkdir(layout.partial(published));
  await writeFile(join(layout.partial(published), 'data'), bytes);
  await mkdir(layout.partial({ ...published, chunks: [] }));
  await mkdir(join(layout.partials, 'b.trash'));
  await writeFile(join(layout.partials, 'b.trash', 'data'), bytes);
  await writeFile(join(layout.partials, 'README'), 'not ours');

  const removed = await sweepPartials(layout);
  assert.equal(removed.length, 3);
  const left = await readdir(layout.partials);
  assert.deepEqual(left.toSorted(), ['README', basename(layout.partial(chunkedBlob(resumable)))].toSorted());
  assert.deepEqual([...(await store.verifiedChunks(chunkedBlob(resumable), never))], [0]);
  assert.deepEqual(await store.verify(published, never), { kind: 'valid' });
});

it('a registry sweeps when it starts', async () => {
  await using folder = await temporaryFolder();
  const layout = await prepareLayout(folder.path);
  await mkdir(join(layout.partials, 'a.trash'));
  const config = readRegistryConfig({ REGISTRY_PORT: '0', REGISTRY_DATA: folder.path });
  const running = await startRegistry(config, { logger: createLogger('silent', 'registry') });
  assert.deepEqual(await readdir(layout.partials), []);
  await running.stop();
});

it('takes nothing for good from a process that is just publishing', async () => {
  await using folder = await temporaryFolder();
  const layout = await prepareLayout(folder.path);
  for (let round = 0; round < 10; round++) {
    const over = new AbortController();
    const sweeping = Array.from({ length: 2 }, async () => {
      while (!over.signal.aborted) {
        await sweepPartials(layout);
      }
    });
    const publishing = Array.from({ length: 4 }, async (_, index) => {
      const bytes = seededBytes(`round ${round} ${index % 2}`, 50);
      const upload = await new FolderBlobStore(layout).openUpload(chunkedBlob(bytes), never);
      try {
        await upload.putChunk(0, bytes, never);
        assert.equal(await upload.commit(never), true);
      } finally {
        await upload.close();
      }
    });
    await Promise.all(publishing);
    over.abort();
    await Promise.all(sweeping);
  }
});

it('an upload that cannot be published stays one that can be written on', async () => {
  await using folder = await temporaryFolder();
  const layout = await prepareLayout(folder.path);
  const bytes = seededBytes('in the way', 10);
  const blob = chunkedBlob(bytes);
  const partial = await PartialBlob.open(layout.partial(blob), blob);
  await partial.putChunk(0, bytes);
  await mkdir(layout.blob(blob.digest), { recursive: true });
  await assert.rejects(partial.publish(layout.blob(blob.digest), never), { code: 'EISDIR' });
  await partial.close();
  assert.equal((await stat(join(layout.partial(blob), 'data'))).mode & 0o200, 0o200);
  assert.deepEqual((await readdir(layout.partial(blob))).toSorted(), ['data', 'journal']);
});
