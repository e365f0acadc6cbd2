import type { ClassMask } from './class-runs.ts';
import type { Finding } from './flake.ts';
import type { Instance } from './instances.ts';
import { findLargestPart } from './largest-part.ts';
import { voteClass } from './vote.ts';

/** An instance and its class. */
export interface ClassedInstance {
  readonly instance: Pick<Instance, 'mask' | 'areaPx' | 'score'>;
  readonly classIndex: number;
}

/** Without a class map every instance is of class 1. */
export function ofOneClass(instance: ClassedInstance['instance']): ClassedInstance {
  return { instance, classIndex: 1 };
}

/** Those to which the class map gives a class, in their order; see `voteClass`. */
export function classByVote(
  instances: readonly ClassedInstance['instance'][],
  classMasks: readonly ClassMask[],
  minOccupancy: number,
): ClassedInstance[] {
  return instances.flatMap((instance) => {
    const classIndex = voteClass(instance, classMasks, minOccupancy);
    return classIndex === undefined ? [] : [{ instance, classIndex }];
  });
}

/**
 * What is reported of each: the largest part of its mask, filled. Its size is compared with no threshold again: the size filter was
 * on all parts.
 */
export function findInstanceFlakes(instances: readonly ClassedInstance[]): Finding[] {
  return instances.flatMap(({ instance, classIndex }) => {
    const region = findLargestPart(instance.mask);
    return region === undefined ? [] : [{ region, classIndex, falsePositiveProbability: 1 - instance.score, isInstance: true }];
  });
}
