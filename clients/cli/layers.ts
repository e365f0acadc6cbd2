import type { Flake } from '../../proto/gen/maskterial/inference/v1/flake.ts';

/** The flakes of one layer, in the answer's order. */
export interface LayerGroup {
  readonly classIndex: number;
  readonly layerName: string;
  readonly flakes: readonly Flake[];
  readonly areaPx: number;
  /** Undefined without a scale. */
  readonly areaUm2: number | undefined;
}

/** By class, ascending. */
export function groupByLayer(flakes: readonly Flake[]): LayerGroup[] {
  const byClass = new Map<number, Flake[]>();
  for (const flake of flakes) {
    const members = byClass.get(flake.classIndex);
    if (members === undefined) {
      byClass.set(flake.classIndex, [flake]);
    } else {
      members.push(flake);
    }
  }
  return [...byClass]
    .toSorted(([a], [b]) => a - b)
    .map(([classIndex, members]) => ({
      classIndex,
      layerName: members[0]?.layerName ?? '',
      flakes: members,
      areaPx: members.reduce((sum, { areaPx }) => sum + areaPx, 0),
      areaUm2: members.every(({ areaUm2 }) => areaUm2 !== undefined)
        ? members.reduce((sum, flake) => sum + (flake.areaUm2 ?? 0), 0)
        : undefined,
    }));
}
