import { traceOutline } from './outline.ts';
import { measurePolygon } from './polygon.ts';
import { findFilledRegions, type Region } from './regions.ts';
import type { RunMask } from './runs.ts';

/**
 * Of a mask's external contours, filled, the one whose polygon has the largest area, the first in OpenCV's order of several;
 * undefined for an empty mask. The later parts are lost, as in the original. A polygon through pixel centres is always smaller
 * than its pixels, so parts of too few pixels are not traced.
 */
export function findLargestPart(mask: RunMask): Region | undefined {
  let largest: Region | undefined;
  let area = -1;
  for (const region of findFilledRegions(mask)) {
    if (region.areaPx <= area) {
      continue;
    }
    const its = measurePolygon(traceOutline(region)).area;
    if (its > area) {
      largest = region;
      area = its;
    }
  }
  return largest;
}
