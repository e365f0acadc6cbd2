import type { Points } from './outline.ts';

export interface PolygonMeasures {
  /** Enclosed area, without sign; 0 for a point or a line. */
  readonly area: number;
  /** Of the enclosed area, not of the points; undefined where that area is 0. */
  readonly centroid: { readonly x: number; readonly y: number } | undefined;
}

/**
 * Area by the shoelace formula and centroid by Green's theorem. Sums of integers, exact in a double up to 2^53, then divided
 * as OpenCV's moments are, so that truncated centres agree.
 */
export function measurePolygon({ x, y }: Points): PolygonMeasures {
  let doubleArea = 0;
  let sixfoldX = 0;
  let sixfoldY = 0;
  let fromX = x[x.length - 1] ?? 0;
  let fromY = y[y.length - 1] ?? 0;
  for (let index = 0; index < x.length; index++) {
    const toX = x[index] ?? 0;
    const toY = y[index] ?? 0;
    const cross = fromX * toY - toX * fromY;
    doubleArea += cross;
    sixfoldX += cross * (fromX + toX);
    sixfoldY += cross * (fromY + toY);
    fromX = toX;
    fromY = toY;
  }
  const area = doubleArea / 2;
  return {
    area: Math.abs(area),
    centroid: area === 0 ? undefined : { x: (sixfoldX * (1 / 6)) / area, y: (sixfoldY * (1 / 6)) / area },
  };
}

/** Length of the closed chain through `points`. */
export function arcLength({ x, y }: Points): number {
  let length = 0;
  let fromX = x[x.length - 1] ?? 0;
  let fromY = y[y.length - 1] ?? 0;
  for (let index = 0; index < x.length; index++) {
    const toX = x[index] ?? 0;
    const toY = y[index] ?? 0;
    length += Math.hypot(toX - fromX, toY - fromY);
    fromX = toX;
    fromY = toY;
  }
  return length;
}
