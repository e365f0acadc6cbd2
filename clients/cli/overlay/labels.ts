import type { MaskWindow } from '../../../proto/wire/run-length.ts';
import { textWidth } from './glyphs.ts';

export interface PlacedLabel {
  readonly text: string;
  /** Left end of the baseline. */
  readonly x: number;
  readonly y: number;
}

interface Area {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/**
 * Puts each flake's number beside its box: at the first corner where it lies inside the picture and covers neither another number nor
 * a box placed on; where there is no such corner, where it covers least.
 */
export function placeLabels(
  flakes: readonly { readonly text: string; readonly box: MaskWindow }[],
  width: number,
  height: number,
  capPx: number,
): PlacedLabel[] {
  const taken: Area[] = flakes.map(({ box }) => areaOf(box));
  return flakes.map(({ text, box }) => {
    const size = { width: textWidth(text, capPx), height: capPx };
    const candidates = corners(box, size, capPx * 0.6).map((spot) => clamp(spot, size, width, height));
    const costs = candidates.map((spot) => taken.reduce((sum, other) => sum + overlap(spot, other), 0));
    const best = candidates[costs.indexOf(Math.min(...costs))] ?? areaOf(box);
    taken.push(best);
    return { text, x: best.left, y: best.bottom };
  });
}

function areaOf({ x, y, width, height }: MaskWindow): Area {
  return { left: x, top: y, right: x + width, bottom: y + height };
}

/** Right of the box at its top, left at its top, right at its bottom, left at its bottom, above, below. */
function corners(
  box: MaskWindow,
  size: { readonly width: number; readonly height: number },
  gap: number,
): { x: number; y: number }[] {
  const right = box.x + box.width + gap;
  const left = box.x - gap - size.width;
  const bottom = box.y + box.height - size.height;
  const middle = box.x + (box.width - size.width) / 2;
  return [
    { x: right, y: box.y },
    { x: left, y: box.y },
    { x: right, y: bottom },
    { x: left, y: bottom },
    { x: middle, y: box.y - gap - size.height },
    { x: middle, y: box.y + box.height + gap },
  ];
}

function clamp(spot: { x: number; y: number }, size: { width: number; height: number }, width: number, height: number): Area {
  const margin = size.height * 0.4;
  const left = Math.max(margin, Math.min(spot.x, width - size.width - margin));
  const top = Math.max(margin, Math.min(spot.y, height - size.height - margin));
  return { left, top, right: left + size.width, bottom: top + size.height };
}

function overlap(a: Area, b: Area): number {
  const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
  const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
  return across > 0 && down > 0 ? across * down : 0;
}
