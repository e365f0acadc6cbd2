import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { it } from 'node:test';
import { CHUNK_BYTES } from '../../../../proto/wire/chunks.ts';
import { ChunkJournal, readJournal } from '../../../../registry/adapters/embedded/chunk-journal.ts';
import { chunkedBlob, seededBytes } from '../../../support/registry/sample-version.ts';
import { temporaryFolder } from '../../../support/registry/temporary-folder.ts';

const BLOB = chunkedBlob(seededBytes('journal', 2 * CHUNK_BYTES + 1));
const WHOLE = BLOB.sizeBytes;

/** The line of a chunk as an upload notes it. */
async function lineOf(index: number): Promise<string> {
  await using folder = await temporaryFolder();
  const journal = await ChunkJournal.open(folder.path, BLOB);
  await journal.note(index);
  await journal.close();
  return await readFile(join(folder.path, 'journal'), 'latin1');
}

for (const { what, before, dataBytes, expected } of [
  { what: 'that is empty', before: [], dataBytes: WHOLE, expected: [1] },
  { what: 'with nothing wrong', before: [await lineOf(0)], dataBytes: WHOLE, expected: [0, 1] },
  { what: 'with a line that is none', before: ['0 abc\n', await lineOf(2)], dataBytes: WHOLE, expected: [1, 2] },
  { what: 'with a line that was cut short', before: [await lineOf(0), '2 abc'], dataBytes: WHOLE, expected: [0, 1] },
  { what: 'whose data is gone', before: [await lineOf(1), await lineOf(0)], dataBytes: 0, expected: [1] },
  {
    what: 'whose data is gone in part',
    before: ['\xc3\xa9\n', await lineOf(0), await lineOf(2)],
    dataBytes: CHUNK_BYTES,
    expected: [0, 1],
  },
]) {
  it(`keeps what one upload notes while another one mends a journal ${what}`, async () => {
    await using folder = await temporaryFolder();
    await writeFile(join(folder.path, 'journal'), before.join(''), 'latin1');
    const mine = await ChunkJournal.open(folder.path, BLOB);
    const other = await ChunkJournal.open(folder.path, BLOB);
    const text = await mine.read();
    await other.mend(await other.read(), dataBytes);
    await other.note(1);
    await mine.mend(text, dataBytes);
    await Promise.all([mine.close(), other.close()]);
    // The data has grown by what the other one wrote.
    await writeFile(join(folder.path, 'data'), Buffer.alloc(WHOLE));
    assert.deepEqual(await readJournal(folder.path, BLOB), new Set(expected));
  });
}
