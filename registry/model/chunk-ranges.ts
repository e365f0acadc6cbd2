/** A half-open run of chunk indices: first, first + 1, ..., first + count - 1. */
export interface ChunkRange {
  readonly first: number;
  readonly count: number;
}

/** The fewest ranges that hold exactly these indices, ascending. */
export function toChunkRanges(indices: Iterable<number>): ChunkRange[] {
  const ranges: { first: number; count: number }[] = [];
  for (const index of [...indices].sort((a, b) => a - b)) {
    const last = ranges.at(-1);
    if (last !== undefined && index === last.first + last.count) {
      last.count++;
    } else {
      ranges.push({ first: index, count: 1 });
    }
  }
  return ranges;
}
