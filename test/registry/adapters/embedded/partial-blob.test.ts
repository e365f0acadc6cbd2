import assert from 'node:assert/strict';
import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { setImmediate } from 'node:timers/promises';
import { CHUNK_BYTES } from '../../../../proto/wire/chunks.ts';
import { readJournal } from '../../../../registry/adapters/embedded/chunk-journal.ts';
import { PartialBlob } from '../../../../registry/adapters/embedded/partial-blob.ts';
import { chunkedBlob, seededBytes } from '../../../support/registry/sample-version.ts';
import { chunkOf } from '../../../support/registry/stored-blob.ts';
import { temporaryFolder } from '../../../support/registry/temporary-folder.ts';

/** Enough for a chunk to arrive at every moment of another upload's opening. */
const ROUNDS = 24;

it('keeps what one upload notes while another one opens, at whatever moment that is', async () => {
  await using folder = await temporaryFolder();
  const bytes = seededBytes('noted', CHUNK_BYTES + 1);
  const blob = chunkedBlob(bytes);
  for (let round = 0; round < ROUNDS; round++) {
    const path = join(folder.path, String(round));
    const first = await PartialBlob.open(path, blob);
    const opening = PartialBlob.open(path, blob);
    for (let turn = 0; turn < round % 12; turn++) {
      await setImmediate();
    }
    await first.putChunk(1, chunkOf(bytes, 1));
    const second = await opening;
    await second.putChunk(0, chunkOf(bytes, 0));
    assert.equal(await second.isWhole(), true, `round ${round}`);
    await Promise.all([first.close(), second.close()]);
  }
});

it('notes a chunk behind a line that a crash cut short', async () => {
  await using folder = await temporaryFolder();
  const bytes = seededBytes('cut short', CHUNK_BYTES + 1);
  const blob = chunkedBlob(bytes);
  await (await PartialBlob.open(folder.path, blob)).close();
  await appendFile(join(folder.path, 'journal'), '0 abc');
  const partial = await PartialBlob.open(folder.path, blob);
  await partial.putChunk(1, chunkOf(bytes, 1));
  await partial.close();
  assert.deepEqual([...(await readJournal(folder.path, blob))], [1]);
});
