import type { ContrastTable } from './contrast.ts';
import type { DecodedImage } from './decoder.ts';
import { pixelCount, type RunMask, rowCount } from './runs.ts';

export interface MeanContrast {
  readonly b: number;
  readonly g: number;
  readonly r: number;
}

/**
 * Mean optical contrast per channel over the pixels of a mask with at least one. Contrasts are multiples of 2^-24, so their
 * sum in double precision is exact, in any order.
 */
export function meanContrast(mask: RunMask, { rgb, width }: DecodedImage, table: ContrastTable): MeanContrast {
  let b = 0;
  let g = 0;
  let r = 0;
  for (let row = 0; row < rowCount(mask); row++) {
    const origin = (mask.top + row) * width;
    for (let run = mask.rowStart[row] ?? 0; run < (mask.rowStart[row + 1] ?? 0); run++) {
      const stop = 3 * (origin + (mask.end[run] ?? 0));
      for (let at = 3 * (origin + (mask.start[run] ?? 0)); at < stop; at += 3) {
        r += table.r[rgb[at] ?? 0] ?? 0;
        g += table.g[rgb[at + 1] ?? 0] ?? 0;
        b += table.b[rgb[at + 2] ?? 0] ?? 0;
      }
    }
  }
  const pixels = pixelCount(mask);
  return { b: b / pixels, g: g / pixels, r: r / pixels };
}
