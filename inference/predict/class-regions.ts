import type { ClassMask } from './class-runs.ts';
import { keepLargeComponents } from './components.ts';
import { open } from './morphology.ts';
import { findFilledRegions, type Region } from './regions.ts';
import { pixelCount } from './runs.ts';

/** A region and the class that it was found in. */
export interface ClassRegion {
  readonly classIndex: number;
  readonly region: Region;
}

/**
 * The flakes' regions from the class map alone, in the original's order: classes ascending, within a class from the bottom of
 * the image to its top. Large components that meet at a corner are one region, and one inside another's hole is part of it.
 * The size is compared with >= in each of the three places, as the original does in this mode.
 */
export function findClassRegions(masks: readonly ClassMask[], sizeThreshold: number): ClassRegion[] {
  return masks.flatMap(({ classIndex, mask }) => {
    const opened = open(mask);
    if (pixelCount(opened) < sizeThreshold) {
      return [];
    }
    return findFilledRegions(keepLargeComponents(opened, sizeThreshold))
      .filter((region) => region.areaPx >= sizeThreshold)
      .map((region) => ({ classIndex, region }));
  });
}
