import { fitText, type TextStyle, textSvg, textWidth } from './glyphs.ts';
import { lineStyle } from './palette.ts';
import { chooseScaleBar } from './scale-bar.ts';

export interface LegendEntry {
  readonly classIndex: number;
  readonly text: string;
}

export interface PanelContent {
  readonly legend: readonly LegendEntry[];
  /** Model versions, file name, scale: the last line, in parts that stay whole. */
  readonly footer: readonly string[];
  readonly umPerPx: number | undefined;
}

export interface Panel {
  readonly svg: string;
  readonly height: number;
}

const BACKGROUND = '#15171C';
const TEXT = '#FFFFFF';
const FAINT = '#B4BAC4';

/**
 * The strip below the picture: legend on the left, scale bar on the right, footer beneath. Below and not on the picture, so that no
 * flake hides under it and pixel positions stay those of the image.
 */
export function drawPanel({ legend, footer, umPerPx }: PanelContent, top: number, width: number, scale: number): Panel {
  const cap = 12 * scale;
  const small = 10.5 * scale;
  const padding = 16 * scale;
  const row = 28 * scale;
  const bar = chooseScaleBar(Math.min(width / 5, 400 * scale), umPerPx);
  const barWidth = Math.max(bar.lengthPx, textWidth(bar.label, cap));
  const inner = width - 2 * padding;
  const legendWidth = Math.max(inner - barWidth - 2 * padding, inner / 2);
  const swatch = 22 * scale;
  const gap = 10 * scale;
  const entries = legend.length > 0 ? legend : [{ classIndex: 0, text: 'no flakes' }];
  const legendRows = flow(
    entries.map(({ text }) => swatch + gap + textWidth(text, cap)),
    legendWidth,
    3 * gap,
  );
  const footerRows = flow(
    footer.map((text) => textWidth(text, small)),
    inner,
    4 * gap,
  );
  const legendHeight = Math.max((last(legendRows) + 1) * row, 1.9 * row);
  const height = Math.ceil(padding * 1.6 + legendHeight + (last(footerRows) + 1) * 0.8 * row);

  let svg = `<rect x="0" y="${top}" width="${width}" height="${height}" fill="${BACKGROUND}"/>`;
  for (const [index, spot] of legendRows.entries()) {
    const entry = entries[index];
    if (entry === undefined) {
      continue;
    }
    const x = padding + spot.x;
    const baseline = top + padding + spot.row * row + cap;
    if (entry.classIndex > 0) {
      svg += swatchSvg(entry.classIndex, x, baseline - cap / 2, swatch, 4 * scale);
    }
    const textX = entry.classIndex > 0 ? x + swatch + gap : x;
    svg += textSvg(fitText(entry.text, cap, legendWidth - swatch - gap), textX, baseline, { capPx: cap, colour: TEXT });
  }
  svg += scaleBarSvg(bar, width - padding, top + padding, scale, { capPx: cap, colour: TEXT });
  for (const [index, spot] of footerRows.entries()) {
    const baseline = top + padding + legendHeight + spot.row * 0.8 * row + small;
    svg += textSvg(fitText(footer[index] ?? '', small, inner), padding + spot.x, baseline, { capPx: small, colour: FAINT });
  }
  return { svg, height };
}

interface Spot {
  readonly row: number;
  readonly x: number;
}

/** Places items of these widths in rows, a new row where the next does not fit. */
function flow(widths: readonly number[], rowWidth: number, gap: number): Spot[] {
  let row = 0;
  let x = 0;
  return widths.map((width) => {
    if (x > 0 && x + width > rowWidth) {
      row += 1;
      x = 0;
    }
    const spot = { row, x };
    x += width + gap;
    return spot;
  });
}

function last(spots: readonly Spot[]): number {
  return spots.at(-1)?.row ?? 0;
}

/** A piece of the outline's line. */
function swatchSvg(classIndex: number, x: number, y: number, length: number, thickness: number): string {
  const { colour, isDashed } = lineStyle(classIndex);
  const dash = isDashed ? ` stroke-dasharray="${thickness * 1.5} ${thickness}"` : '';
  return `<path d="M${x} ${y}H${x + length}" stroke="${colour}" stroke-width="${thickness}"${dash}/>`;
}

function scaleBarSvg(
  bar: { lengthPx: number; label: string },
  right: number,
  top: number,
  scale: number,
  style: TextStyle,
): string {
  const left = right - bar.lengthPx;
  const middle = (left + right) / 2;
  const labelWidth = textWidth(bar.label, style.capPx);
  const labelX = Math.min(middle - labelWidth / 2, right - labelWidth);
  const y = top + style.capPx + 15 * scale;
  const tick = 6 * scale;
  const lines = `M${left} ${y - tick}V${y + tick}M${left} ${y}H${right}M${right} ${y - tick}V${y + tick}`;
  return `${textSvg(bar.label, labelX, top + style.capPx, style)}<path d="${lines}" fill="none" stroke="${style.colour}" stroke-width="${3 * scale}"/>`;
}
