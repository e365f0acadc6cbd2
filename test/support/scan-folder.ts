import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { PredictScript } from './fake-inference.ts';
import { answerBy, pictureOf } from './predict-command.ts';

export const NAMES = ['1.png', '2.png', '10.png'];

export interface ScanFolder {
  readonly root: string;
  /** Has three pictures, no two alike. */
  readonly scan: string;
  /** For results; not there yet. */
  readonly out: string;
  /** Which of the pictures these bytes are. */
  nameOf(image: Uint8Array): string;
}

/** A folder of images and one for their results, removed after the test. */
export async function scanFolder(t: TestContext): Promise<ScanFolder> {
  const root = await mkdtemp(join(tmpdir(), 'cli-folder-'));
  t.after(() => rm(root, { recursive: true }));
  const scan = join(root, 'scan');
  await mkdir(scan);
  const pictures = new Map(await Promise.all(NAMES.map(async (name, index) => [name, await pictureOf(index)] as const)));
  await Promise.all([...pictures].map(([name, picture]) => writeFile(join(scan, name), picture)));
  return {
    root,
    scan,
    out: join(root, 'results'),
    nameOf: (image) => [...pictures].find(([, picture]) => picture.equals(image))?.[0] ?? 'none',
  };
}

/** Answers every image with two flakes by this version. */
export const byVersion =
  (version: number): PredictScript =>
  ({ options }) =>
    answerBy(version, options?.umPerPx);
