import type { Answer } from '../prediction.ts';
import { formatVersion } from './result-words.ts';

/** Fixed: scripts and spreadsheets depend on names and order. New columns are added at the end only. */
const COLUMNS = [
  'image',
  'flake',
  'layer',
  'area_px',
  'area_um2',
  'centre_x',
  'centre_y',
  'box_x',
  'box_y',
  'box_width',
  'box_height',
  'max_side_px',
  'min_side_px',
  'score',
  'models',
] as const;

export const CSV_HEADER = `${COLUMNS.join(',')}\r\n`;

/**
 * One line a flake, as RFC 4180 has it: CRLF, quotes where needed. `area_um2` is empty without a scale; `models` are the exact
 * versions, apart by blanks. An image without flakes gives no line.
 */
export function csvRows(image: string, { flakes, summary }: Answer): string {
  const models = summary.models.map(formatVersion).join(' ');
  return flakes
    .map((flake) => {
      const { centre, box } = flake;
      const cells = [
        textCell(image),
        numberCell(flake.index),
        textCell(flake.layerName),
        numberCell(flake.areaPx),
        numberCell(flake.areaUm2),
        numberCell(centre?.x),
        numberCell(centre?.y),
        numberCell(box?.x),
        numberCell(box?.y),
        numberCell(box?.width),
        numberCell(box?.height),
        numberCell(flake.maxSidePx),
        numberCell(flake.minSidePx),
        numberCell(flake.score),
        textCell(models),
      ];
      return `${cells.join(',')}\r\n`;
    })
    .join('');
}

/** At most four decimals: a tenth of a nanometre in um, far below what a pixel shows. */
function numberCell(value: number | undefined): string {
  return value === undefined || !Number.isFinite(value) ? '' : String(Number(value.toFixed(4)));
}

/** Spreadsheets run a text that begins like a formula: an apostrophe in front makes it text. */
function textCell(text: string): string {
  const safe = /^[=+\-@\t\r\n]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
