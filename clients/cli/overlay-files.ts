import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, extname, join, resolve } from 'node:path';
import type { Prediction } from '../inference-client.ts';
import { drawOverlay } from './overlay/overlay.ts';

/** Saves overlays in one folder, which is made when missing: `a.jpg` becomes `a.overlay.png`. */
export class OverlayFiles {
  readonly #folder: string;
  readonly #names: ReadonlyMap<string, string>;

  /** All images' paths beforehand, so that images of equal name from two folders get names of their own. */
  constructor(folder: string, paths: readonly string[]) {
    this.#folder = folder;
    this.#names = overlayNames(paths);
  }

  async save(path: string, { flakes, summary }: Prediction): Promise<void> {
    const png = await drawOverlay({ image: await readFile(path), name: basename(path), flakes, summary });
    await mkdir(this.#folder, { recursive: true });
    const target = join(this.#folder, this.#names.get(resolve(path)) ?? nameOf(path, 1));
    const temporary = `${target}.partial`;
    try {
      await writeFile(temporary, png);
      await rename(temporary, target);
    } finally {
      await rm(temporary, { force: true });
    }
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
  return `${basename(path, extname(path))}${copy === 1 ? '' : `-${copy}`}.overlay.png`;
}
