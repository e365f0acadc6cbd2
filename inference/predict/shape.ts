import { convexHull } from './convex-hull.ts';
import { orderCorners } from './hull-order.ts';
import { minAreaRect } from './min-area-rect.ts';
import { traceOutline } from './outline.ts';
import { measurePolygon } from './polygon.ts';
import type { Region } from './regions.ts';
import { rowCount } from './runs.ts';

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** What is measured on a region's outline, whatever found the region. */
export interface Shape {
  /** Centroid of the outline's polygon; of the pixels where that polygon encloses no area. */
  readonly centre: Point;
  /** Area of the outline's polygon: through the border pixels' centres, so smaller than the pixel count. */
  readonly polygonArea: number;
  /** Sides of the minimum-area rectangle around the border pixels' centres. */
  readonly maxSidePx: number;
  readonly minSidePx: number;
}

export function measureShape(region: Region): Shape {
  const outline = traceOutline(region);
  const polygon = measurePolygon(outline);
  const sides = minAreaRect(orderCorners(convexHull(region), outline));
  return {
    centre: polygon.centroid ?? pixelMean(region),
    polygonArea: polygon.area,
    maxSidePx: sides.max,
    minSidePx: sides.min,
  };
}

function pixelMean({ mask, areaPx }: Region): Point {
  let sumX = 0;
  let sumY = 0;
  for (let row = 0; row < rowCount(mask); row++) {
    for (let run = mask.rowStart[row] ?? 0; run < (mask.rowStart[row + 1] ?? 0); run++) {
      const from = mask.start[run] ?? 0;
      const to = mask.end[run] ?? 0;
      sumX += ((from + to - 1) * (to - from)) / 2;
      sumY += (mask.top + row) * (to - from);
    }
  }
  return { x: sumX / areaPx, y: sumY / areaPx };
}
