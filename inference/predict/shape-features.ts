import { convexHull } from './convex-hull.ts';
import { traceOutline } from './outline.ts';
import { arcLength, measurePolygon } from './polygon.ts';
import type { Region } from './regions.ts';

/** What a shape classifier looks at. */
export interface ShapeFeatures {
  /** Length of the outline in units of the root of its area: 2 √π of a circle, more of anything frayed. */
  readonly outlineLength: number;
  /** Share of the convex hull's area: 1 of anything convex. */
  readonly solidity: number;
}

/**
 * Of a region's outline as the closed chain of its border pixels: areas are those of polygons, steps along the chain count 1 or √2.
 * Undefined where the outline encloses no area, as that of a line.
 */
export function shapeFeatures(region: Region): ShapeFeatures | undefined {
  const outline = traceOutline(region);
  const { area } = measurePolygon(outline);
  if (area === 0) {
    return undefined;
  }
  return { outlineLength: arcLength(outline) / Math.sqrt(area), solidity: area / measurePolygon(convexHull(region)).area };
}
