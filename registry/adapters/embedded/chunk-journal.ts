import { constants } from 'node:fs';
import { type FileHandle, open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { chunkRange } from '../../../proto/wire/chunks.ts';
import { hexOf } from '../../../proto/wire/digest.ts';
import type { ChunkedBlob } from '../../release/blob-store.ts';
import { isAbsent } from './fs-errors.ts';

/** A byte is a character: lines are taken back by their places, and a crash may leave bytes that are no text. */
const ENCODING = 'latin1';

/**
 * Which chunks of an unfinished blob are on the disk, a line for each. Any number of uploads, in one process or several, write into
 * it at once, so it only ever grows: what one of them notes stays, whatever another one is just doing.
 */
export class ChunkJournal {
  readonly #file: FileHandle;
  readonly #blob: ChunkedBlob;

  private constructor(file: FileHandle, blob: ChunkedBlob) {
    this.#file = file;
    this.#blob = blob;
  }

  static async open(folder: string, blob: ChunkedBlob): Promise<ChunkJournal> {
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_APPEND;
    return new ChunkJournal(await open(pathIn(folder), flags, 0o644), blob);
  }

  /** What is in it now. */
  async read(): Promise<JournalText> {
    const bytes = Buffer.alloc((await this.#file.stat()).size);
    // Wherever the handle stands.
    const { bytesRead } = await this.#file.read(bytes, 0, bytes.byteLength, 0);
    return new JournalText(bytes.toString(ENCODING, 0, bytesRead), this.#blob);
  }

  async note(index: number): Promise<void> {
    // Not flushed: a line that a power failure loses costs sending one chunk again.
    await this.#file.appendFile(journalLine(this.#blob, index));
  }

  /** Makes good what a crash did to the journal that was read as `text`, beside data of this length. */
  async mend(text: JournalText, dataBytes: number): Promise<void> {
    const mending = text.mending(dataBytes);
    if (mending !== '') {
      await this.#file.appendFile(mending);
    }
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

/** The chunks that the journal in `folder` names and the data reaches to; none where there is no such folder. */
export async function readJournal(folder: string, blob: ChunkedBlob): Promise<Set<number>> {
  try {
    const text = await readFile(pathIn(folder), ENCODING);
    return new JournalText(text, blob).chunksWithin((await stat(join(folder, 'data'))).size);
  } catch (error) {
    if (isAbsent(error)) {
      return new Set();
    }
    throw error;
  }
}

/** The journal at one moment. */
class JournalText {
  readonly #lines: readonly { readonly place: number; readonly index: number; readonly endBytes: number }[];
  readonly #isCutShort: boolean;

  constructor(text: string, blob: ChunkedBlob) {
    const lines = [];
    const takenBack = new Set<string>();
    let place = 0;
    // The last piece is empty, or a line that a crash cut short. Each line repeats its chunk's digest, so that the remains of
    // two lines are not taken for one.
    for (const line of text.split('\n').slice(0, -1)) {
      const [first, second] = line.split(' ');
      const index = Number(first);
      if (blob.chunks[index] !== undefined && `${line}\n` === journalLine(blob, index)) {
        const { offsetBytes, lengthBytes } = chunkRange(index, blob.sizeBytes);
        lines.push({ place, index, endBytes: offsetBytes + lengthBytes });
      } else if (first === 'not' && second !== undefined) {
        takenBack.add(second);
      }
      place += line.length + 1;
    }
    this.#lines = lines.filter((line) => !takenBack.has(String(line.place)));
    this.#isCutShort = text !== '' && !text.endsWith('\n');
  }

  /** The chunks that it names, of those that data of this length reaches to. */
  chunksWithin(dataBytes: number): Set<number> {
    return new Set(this.#lines.filter(({ endBytes }) => endBytes <= dataBytes).map(({ index }) => index));
  }

  /** What has to be added where the data has this length. */
  mending(dataBytes: number): string {
    // The next line must not become the end of one that was cut short.
    const ending = this.#isCutShort ? '\n' : '';
    // Lines whose data is gone must not seem to count once the file has grown past their places. They are named by where they
    // stand, for another upload may be noting the same chunks anew.
    const lost = this.#lines.filter(({ endBytes }) => endBytes > dataBytes);
    return ending + lost.map(({ place }) => `not ${place}\n`).join('');
  }
}

function journalLine(blob: ChunkedBlob, index: number): string {
  const digest = blob.chunks[index];
  return `${index} ${digest === undefined ? '' : hexOf(digest)}\n`;
}

function pathIn(folder: string): string {
  return join(folder, 'journal');
}
