import { readFile, stat } from 'node:fs/promises';
import { chunkCount } from '../../proto/wire/chunks.ts';
import type { BlobRef } from '../../proto/wire/digest.ts';
import { isAbsent } from './disk.ts';

/** Far above a journal of the largest blob; a larger file is none of ours. */
const MAX_JOURNAL_BYTES = 1024 * 1024;

/** First line: format and blob. Then a line per verified chunk, in order of arrival. */
export function encodeJournalHeader({ digest, sizeBytes }: BlobRef): string {
  return `chunks.v1 ${digest} ${sizeBytes}\n`;
}

export function encodeJournalLine(index: number): string {
  return `${index}\n`;
}

/** The chunks that a journal of `ref` names; none where it is absent or of something else. What is torn or damaged in it is left out. */
export async function readJournal(path: string, ref: BlobRef): Promise<ReadonlySet<number>> {
  try {
    const text = (await stat(path)).size > MAX_JOURNAL_BYTES ? '' : await readFile(path, 'utf8');
    return text.startsWith(encodeJournalHeader(ref)) ? parseLines(text, ref) : new Set();
  } catch (error) {
    if (isAbsent(error)) {
      return new Set();
    }
    throw error;
  }
}

function parseLines(text: string, { sizeBytes }: BlobRef): Set<number> {
  // The last element is empty, or a line that a crash cut short.
  const lines = text.split('\n').slice(1, -1);
  const indices = lines.filter((line) => /^\d{1,9}$/.test(line)).map(Number);
  return new Set(indices.filter((index) => index < chunkCount(sizeBytes)));
}
