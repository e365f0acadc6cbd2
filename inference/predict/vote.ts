import type { ClassMask } from './class-runs.ts';
import type { Instance } from './instances.ts';
import { type RunMask, rowCount } from './runs.ts';

const f32 = Math.fround;

/**
 * The class that most of a mask's pixels have, background included, and the smallest of several; undefined where that is the
 * background or its share is below `minOccupancy`. All parts of the mask vote, and nothing in its holes does. Shares are compared
 * in single precision, as the original's are.
 */
export function voteClass(
  { mask, areaPx }: Pick<Instance, 'mask' | 'areaPx'>,
  classMasks: readonly ClassMask[],
  minOccupancy: number,
): number | undefined {
  const votes = classMasks.map((other) => ({ classIndex: other.classIndex, count: countCommon(mask, other.mask) }));
  const background = areaPx - votes.reduce((sum, { count }) => sum + count, 0);
  let winner = 0;
  let share = f32(background / areaPx);
  for (const { classIndex, count } of votes) {
    const its = f32(count / areaPx);
    if (its > share) {
      winner = classIndex;
      share = its;
    }
  }
  return winner === 0 || share < f32(minOccupancy) ? undefined : winner;
}

/** Pixels that two masks of one image share. */
export function countCommon(a: RunMask, b: RunMask): number {
  let common = 0;
  const top = Math.max(a.top, b.top);
  const bottom = Math.min(a.top + rowCount(a), b.top + rowCount(b));
  for (let row = top; row < bottom; row++) {
    let inA = a.rowStart[row - a.top] ?? 0;
    const stopA = a.rowStart[row - a.top + 1] ?? 0;
    let inB = b.rowStart[row - b.top] ?? 0;
    const stopB = b.rowStart[row - b.top + 1] ?? 0;
    while (inA < stopA && inB < stopB) {
      const endA = a.end[inA] ?? 0;
      const endB = b.end[inB] ?? 0;
      common += Math.max(0, Math.min(endA, endB) - Math.max(a.start[inA] ?? 0, b.start[inB] ?? 0));
      if (endA <= endB) {
        inA++;
      } else {
        inB++;
      }
    }
  }
  return common;
}
