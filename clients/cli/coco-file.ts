import { type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { projectVersion } from '../../infra/process/version.ts';
import type { UsedModel } from '../../proto/gen/maskterial/inference/v1/inference_service.ts';
import type { Answer } from '../prediction.ts';
import { CocoCategories, type CocoImage, cocoAnnotations, cocoImage, cocoModel } from './coco.ts';
import { unwritable } from './file-errors.ts';
import type { ResultWriter } from './result-writer.ts';
import { formatVersion } from './result-words.ts';
import { partialOf } from './whole-file.ts';

/**
 * One COCO file of a whole run. Masks go to the disk as they come, so thousands of images need little memory; what a run that
 * ended before its time left is removed, and an earlier file stays.
 */
export class CocoFile implements ResultWriter {
  readonly #path: string;
  readonly #partial: string;
  readonly #nowMs: () => number;
  readonly #images: CocoImage[] = [];
  readonly #categories = new CocoCategories();
  readonly #models = new Map<string, UsedModel>();
  readonly #scales = new Set<number>();
  #file: FileHandle | undefined;
  #annotationCount = 0;

  constructor(path: string, nowMs: () => number) {
    this.#path = path;
    this.#partial = partialOf(path);
    this.#nowMs = nowMs;
  }

  /** @throws ServiceError failed-precondition UNWRITABLE_FILE, as all others do. */
  async begin(): Promise<void> {
    await this.#orUnwritable(async () => {
      await mkdir(dirname(this.#path), { recursive: true });
      await refuseFolder(this.#path);
      this.#file = await open(this.#partial, 'wx');
      await this.#file.appendFile('{"annotations":[');
    });
  }

  async image(index: number, path: string, answer: Answer): Promise<void> {
    const { summary } = answer;
    const image = cocoImage(index + 1, path, summary);
    this.#images.push(image);
    this.#categories.add(answer);
    for (const model of summary.models) {
      this.#models.set(`${formatVersion(model)} ${model.manifestDigest}`, model);
    }
    if (summary.umPerPx !== undefined) {
      this.#scales.add(summary.umPerPx);
    }
    const annotations = cocoAnnotations(this.#annotationCount + 1, image.id, answer);
    const text = annotations.map((annotation, at) => {
      const isFirst = this.#annotationCount + at === 0;
      return `${isFirst ? '' : ','}\n${JSON.stringify(annotation)}`;
    });
    this.#annotationCount += annotations.length;
    await this.#orUnwritable(async () => this.#file?.appendFile(text.join('')));
  }

  async failure(): Promise<void> {
    // It is in no dataset; the report at the end lists it.
  }

  async end(isWhole: boolean): Promise<void> {
    const file = this.#file;
    if (file === undefined) {
      return;
    }
    this.#file = undefined;
    try {
      if (isWhole) {
        await this.#orUnwritable(async () => {
          await file.appendFile(`\n],\n${this.#rest()}}\n`);
          await rename(this.#partial, this.#path);
        });
      }
    } finally {
      await file.close();
      // Still there only where it did not become the dataset.
      await rm(this.#partial, { force: true });
    }
  }

  #rest(): string {
    const date = new Date(this.#nowMs());
    const [umPerPx] = this.#scales;
    const info = {
      description: 'flakes found by MaskTerial models',
      version: projectVersion(),
      year: date.getUTCFullYear(),
      date_created: date.toISOString(),
      models: [...this.#models.values()].map(cocoModel),
      ...(umPerPx === undefined ? {} : { um_per_px: umPerPx }),
    };
    const parts = { images: this.#images, categories: this.#categories.list(), licenses: [], info };
    return Object.entries(parts)
      .map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value)}`)
      .join(',\n');
  }

  async #orUnwritable(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      throw unwritable(this.#path, error);
    }
  }
}

/** A folder of that name would be noticed when the dataset takes its place, after hours. */
async function refuseFolder(path: string): Promise<void> {
  // What cannot be looked at is not there, or fails when it is opened.
  const found = await stat(path).catch(() => undefined);
  if (found?.isDirectory() === true) {
    throw new Error('a folder has this name');
  }
}
