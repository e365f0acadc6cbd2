import { readFile } from 'node:fs/promises';
import sharp from 'sharp';
import type { Flake } from '../../../proto/gen/maskterial/inference/v1/flake.ts';
import type { Summary } from '../../../proto/gen/maskterial/inference/v1/inference_service.ts';
import { ServiceError } from '../../../proto/wire/errors.ts';
import { decodeRunLengths, rasterize } from '../../../proto/wire/run-length.ts';
import { groupByLayer, type LayerGroup } from '../layers.ts';
import { formatArea, formatCount, formatVersion } from '../result-words.ts';
import { textSvg } from './glyphs.ts';
import { placeLabels } from './labels.ts';
import { ringPath, traceOutlines } from './outline.ts';
import { lineStyle } from './palette.ts';
import { drawPanel } from './panel.ts';

export interface OverlayInput {
  /** The encoded image that was predicted on. */
  readonly image: Uint8Array;
  /** Shown in the footer. */
  readonly name: string;
  readonly flakes: readonly Flake[];
  readonly summary: Summary;
  /** Kept in the picture, for `readOverlayKey`: hexadecimal digits that stand for what it was drawn from. */
  readonly key?: string;
}

/** Narrower pictures get an empty margin on the right, or the legend could not be read. */
const MIN_WIDTH = 420;
const MARGIN_COLOUR = '#15171C';

/**
 * The picture with each flake's outline in its layer's colour and its number beside it, and a strip below with legend, scale bar and
 * model versions. Pixel (x, y) of the image stays pixel (x, y) of the result.
 * @returns a PNG.
 * @throws ServiceError invalid-argument UNDECODABLE_IMAGE when the image cannot be read here; INVALID_REQUEST for a malformed mask.
 */
export async function drawOverlay({ image, name, flakes, summary, key }: OverlayInput): Promise<Buffer> {
  const { data, info } = await decode(image, name);
  const { width, height } = info;
  // Lines and letters keep their share of the picture: 2.5 px at the 1920 x 1200 of a usual micrograph.
  const scale = Math.min(4, Math.max(0.75, Math.sqrt(width * height) / 1500));
  const canvasWidth = Math.max(width, MIN_WIDTH);
  const groups = groupByLayer(flakes);
  const panel = drawPanel(
    { legend: groups.map(legendEntry), footer: footerOf(name, summary), umPerPx: summary.umPerPx },
    height,
    canvasWidth,
    scale,
  );
  const canvasHeight = height + panel.height;
  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" width="${canvasWidth}" height="${canvasHeight}">` +
    `<svg width="${width}" height="${height}">${outlinesSvg(groups, scale)}${labelsSvg(flakes, width, height, scale)}</svg>${panel.svg}</svg>`;
  return sharp(data, { raw: info })
    .extend({ right: canvasWidth - width, bottom: panel.height, background: MARGIN_COLOUR })
    .composite([{ input: Buffer.from(svg), top: 0, left: 0 }])
    .removeAlpha()
    .withExif(key === undefined ? {} : { IFD0: { ImageDescription: keyText(key) } })
    .png({ compressionLevel: 6 })
    .toBuffer();
}

/** The key that a picture was drawn with; undefined for any other file, or none. */
export async function readOverlayKey(path: string): Promise<string | undefined> {
  try {
    // Not by its path: what sharp knows of a path outlives the file.
    const { exif } = await sharp(await readFile(path)).metadata();
    return new RegExp(`${keyText('')}([0-9a-f]+)`).exec(exif?.toString('latin1') ?? '')?.[1];
  } catch {
    // Absent, or no picture: there is no overlay yet.
    return undefined;
  }
}

/** Among what else EXIF holds. */
function keyText(key: string): string {
  return `maskterial-overlay:${key}`;
}

/** As inference sees the image: orientation applied, alpha dropped, 8 bits, three channels. */
async function decode(
  image: Uint8Array,
  name: string,
): Promise<{ data: Buffer; info: { width: number; height: number; channels: 3 } }> {
  try {
    const { data, info } = await sharp(image, { failOn: 'error' })
      .autoOrient()
      .removeAlpha()
      .toColourspace('srgb')
      .raw()
      .toBuffer({ resolveWithObject: true });
    return { data, info: { width: info.width, height: info.height, channels: 3 } };
  } catch (error) {
    throw new ServiceError('invalid-argument', 'UNDECODABLE_IMAGE', `${name}: cannot be drawn on: ${String(error)}`, {
      cause: error,
    });
  }
}

function outlinesSvg(groups: readonly LayerGroup[], scale: number): string {
  const layers = groups.map(({ classIndex, flakes }) => ({ ...lineStyle(classIndex), path: flakes.map(outlinePath).join('') }));
  // All halos first: none may cover a neighbour's colour.
  const halos = layers.map(
    ({ path }) => `<path d="${path}" stroke="#000000" stroke-opacity="0.7" stroke-width="${5.5 * scale}"/>`,
  );
  const lines = layers.map(({ path, colour, isDashed }) => {
    const dash = isDashed ? ` stroke-dasharray="${8 * scale} ${5 * scale}"` : '';
    return `<path d="${path}" stroke="${colour}" stroke-width="${2.5 * scale}"${dash}/>`;
  });
  return `<g fill="none" stroke-linejoin="round">${halos.join('')}${lines.join('')}</g>`;
}

function outlinePath({ mask, box }: Flake): string {
  if (mask === undefined || box === undefined) {
    return '';
  }
  const raster = rasterize(decodeRunLengths(mask.counts), mask.height, box);
  return traceOutlines(raster, box.width, box.height)
    .map((ring) => ringPath(ring, box.x, box.y))
    .join('');
}

function labelsSvg(flakes: readonly Flake[], width: number, height: number, scale: number): string {
  const capPx = 12 * scale;
  const labelled = flakes.flatMap(({ index, box }) => (box === undefined ? [] : [{ text: String(index), box }]));
  return placeLabels(labelled, width, height, capPx)
    .map(({ text, x, y }) => textSvg(text, x, y, { capPx, colour: '#FFFFFF', halo: '#000000' }))
    .join('');
}

function legendEntry({ classIndex, layerName, flakes, areaPx, areaUm2 }: LayerGroup): { classIndex: number; text: string } {
  return { classIndex, text: `${layerName}: ${formatCount(flakes.length, 'flake')}, ${formatArea(areaPx, areaUm2)}` };
}

function footerOf(name: string, { models, umPerPx }: Summary): string[] {
  return [...models.map(formatVersion), name, umPerPx === undefined ? 'no scale given' : `${umPerPx} \u00b5m/px`];
}
