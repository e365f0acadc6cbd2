import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { access, mkdir, readFile } from 'node:fs/promises';
import { basename, extname, join, resolve } from 'node:path';
import type { Answer } from '../prediction.ts';
import { unreadable, unwritable } from './file-errors.ts';
import { OVERLAY_SUFFIX } from './images.ts';
import { drawOverlay, readOverlayKey } from './overlay/overlay.ts';
import { writeWholeFile } from './whole-file.ts';

/** Raised when overlays are drawn otherwise: those of earlier releases are drawn anew. */
const DRAWING = 1;

/** Saves overlays in one folder, which is made when missing: `a.jpg` becomes `a.overlay.png`. */
export class OverlayFiles {
  readonly #folder: string;
  readonly #names: ReadonlyMap<string, string>;

  private constructor(folder: string, paths: readonly string[]) {
    this.#folder = folder;
    this.#names = overlayNames(paths);
  }

  /**
   * Takes all images' paths beforehand, so that images of equal name from two folders get names of their own.
   * @throws ServiceError failed-precondition UNWRITABLE_FILE, before hours of work on pictures that have no place.
   */
  static async open(folder: string, paths: readonly string[]): Promise<OverlayFiles> {
    try {
      await mkdir(folder, { recursive: true });
      await access(folder, constants.W_OK);
    } catch (error) {
      throw unwritable(folder, error);
    }
    return new OverlayFiles(folder, paths);
  }

  /** Draws and saves, unless the very same picture is there from an earlier run. */
  async save(path: string, { flakes, summary }: Answer): Promise<void> {
    const image = await read(path);
    const input = { name: basename(path), flakes, summary };
    const target = join(this.#folder, this.#names.get(resolve(path)) ?? nameOf(path, 1));
    const key = keyOf(image, input);
    if ((await readOverlayKey(target)) !== key) {
      await writeWholeFile(target, await drawOverlay({ image, ...input, key }));
    }
  }
}

/** A picture depends on nothing else. When and how fast an answer came is not in it. */
function keyOf(image: Uint8Array, { name, flakes, summary }: { readonly name: string } & Answer): string {
  const { models, umPerPx } = summary;
  const shapes = flakes.map(({ index, classIndex, layerName, areaPx, areaUm2, mask, box }) => [
    index,
    classIndex,
    layerName,
    areaPx,
    areaUm2,
    mask,
    box,
  ]);
  const drawn = { drawing: DRAWING, name, shapes, models, umPerPx };
  return createHash('sha256').update(image).update(JSON.stringify(drawn)).digest('hex');
}

async function read(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (error) {
    throw unreadable(path, error);
  }
}

function overlayNames(paths: readonly string[]): Map<string, string> {
  const names = new Map<string, string>();
  const taken = new Set<string>();
  for (const path of paths) {
    let name = nameOf(path, 1);
    // Compared without case: some file systems do not tell "A" from "a".
    for (let copy = 2; taken.has(name.toLowerCase()); copy += 1) {
      name = nameOf(path, copy);
    }
    taken.add(name.toLowerCase());
    names.set(resolve(path), name);
  }
  return names;
}

function nameOf(path: string, copy: number): string {
  return `${basename(path, extname(path))}${copy === 1 ? '' : `-${copy}`}${OVERLAY_SUFFIX}`;
}
