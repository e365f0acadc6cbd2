import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import sharp from 'sharp';

/** A rectangle of one optical contrast, the same in all channels. */
export interface Patch {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly contrast: number;
}

const BACKGROUND = 160;

/** A PNG with a flat substrate and flat patches on it: what a classifier must say of it is plain. */
export async function makePicture(patches: readonly Patch[], size = { width: 320, height: 200 }): Promise<Buffer> {
  const { width, height } = size;
  const rgb = new Uint8Array(width * height * 3).fill(BACKGROUND);
  for (const patch of patches) {
    const value = Math.round(BACKGROUND * (1 + patch.contrast));
    for (let y = patch.y; y < patch.y + patch.height; y += 1) {
      rgb.fill(value, (y * width + patch.x) * 3, (y * width + patch.x + patch.width) * 3);
    }
  }
  return sharp(rgb, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}

/** A GMM bundle whose classes sit at these contrasts, the same in all channels; gives its folder. */
export async function writeGmmBundle(folder: string, contrasts: Readonly<Record<number, number>>): Promise<string> {
  const variance = 0.0004;
  const classes = Object.entries(contrasts).map(([layer, contrast]) => [
    layer,
    {
      contrast: { b: contrast, g: contrast, r: contrast },
      covariance_matrix: [
        [variance, 0, 0],
        [0, variance, 0],
        [0, 0, variance],
      ],
    },
  ]);
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, 'contrast_dict.json'), JSON.stringify(Object.fromEntries(classes), undefined, 4));
  return folder;
}
