import { mkdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type BlobRef, hexOf } from '../../proto/wire/digest.ts';
import type { Answer } from '../prediction.ts';
import { codeOf, unreadable, unwritable } from './file-errors.ts';
import { decodeResult, encodeResult, type RequestRecord } from './result-file.ts';
import { removeAbandoned, writeWholeFile } from './whole-file.ts';

/** Of the image's name: with the rest it stays below the 255 bytes that file systems take. */
const MAX_NAME_BYTES = 200;
/** Of the digest in a file's name; the file itself has all of it. */
const NAME_HEX_DIGITS = 12;

/**
 * A folder with one file an image: `a.jpg` becomes `a.jpg.<begin of its digest>.json`. A result is there as a whole or not at
 * all, and two runs may share the folder.
 */
export class ResultFolder {
  readonly #path: string;
  readonly #request: RequestRecord;

  private constructor(path: string, request: RequestRecord) {
    this.#path = path;
    this.#request = request;
  }

  /** Makes the folder when missing. @throws ServiceError failed-precondition UNWRITABLE_FILE */
  static async open(path: string, request: RequestRecord, nowMs: number): Promise<ResultFolder> {
    try {
      await mkdir(path, { recursive: true });
      await removeAbandoned(path, nowMs);
    } catch (error) {
      throw unwritable(path, error);
    }
    return new ResultFolder(path, request);
  }

  /** The answer to this very image and the same request, by whatever versions. @throws ServiceError UNREADABLE_FILE */
  async find(imagePath: string, image: BlobRef): Promise<Answer | undefined> {
    const path = this.#fileOf(imagePath, image);
    try {
      return decodeResult(await readFile(path, 'utf8'), image, this.#request);
    } catch (error) {
      if (codeOf(error) === 'ENOENT') {
        return undefined;
      }
      throw unreadable(path, error);
    }
  }

  /** @throws ServiceError failed-precondition UNWRITABLE_FILE */
  async save(imagePath: string, image: BlobRef, answer: Answer): Promise<void> {
    await writeWholeFile(this.#fileOf(imagePath, image), encodeResult(imagePath, image, this.#request, answer));
  }

  #fileOf(imagePath: string, { digest }: BlobRef): string {
    // A letter that the limit cuts in two is left out.
    const name = Buffer.from(basename(imagePath))
      .subarray(0, MAX_NAME_BYTES)
      .toString()
      .replace(/\ufffd+$/, '');
    return join(this.#path, `${name}.${hexOf(digest).slice(0, NAME_HEX_DIGITS)}.json`);
  }
}
