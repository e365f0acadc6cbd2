import assert from 'node:assert/strict';
import { test } from 'node:test';
import { findInstances } from '../../../inference/predict/instances.ts';
import type { RunMask } from '../../../inference/predict/runs.ts';
import { readGolden } from '../../support/m2f/goldens.ts';
import { needsReferenceData } from '../../support/reference-data.ts';

/** Single precision, summed in another order. */
const SCORE_TOLERANCE = 1e-5;

for (const name of ['SynthSmall_crop', 'SynthFull_crop'] as const) {
  test(`${name}: the instances of the reference's own logits`, needsReferenceData, async () => {
    const { image, classLogits, maskQueries, maskLogits, instances, paddedSize } = await readGolden(name);
    const { width, height } = image;
    const logits = {
      queries: maskQueries.length,
      classLogits: Float32Array.from(maskQueries.flatMap((query) => [0, 1].map((side) => classLogits[query * 2 + side] ?? 0))),
      maskLogits: Float32Array.from(maskLogits),
      height: paddedSize[0] / 4,
      width: paddedSize[1] / 4,
    };
    const all = await findInstances(logits, { width, height }, { scoreThreshold: 0, sizeThreshold: 0 }, async () => undefined);
    const found = all.map((instance) => ({ ...instance, query: maskQueries[instance.query] }));
    const expected = instances.filter(({ query, area }) => area > 0 && maskQueries.includes(query));
    assert.ok(expected.length > 0);
    const byQuery = new Map(found.map((instance) => [instance.query, instance]));
    assert.equal(byQuery.size, expected.length);
    for (const { query, score, area, rle_row_major: runs } of expected) {
      const instance = byQuery.get(query) ?? assert.fail(`no query ${query}`);
      assert.ok(Math.abs(instance.score - score) <= SCORE_TOLERANCE, `query ${query}: ${instance.score} for ${score}`);
      assert.equal(instance.areaPx, area, `query ${query}`);
      if (runs !== undefined) {
        assert.deepEqual(rowRuns(instance.mask), runs, `query ${query}`);
      }
    }
    for (const [index, { score }] of found.entries()) {
      assert.ok(score <= (found[index - 1]?.score ?? 1), 'by falling score');
    }
    // Whatever the threshold, it leaves out exactly what it would have left out of all.
    for (const threshold of [0.1, 0.3, 0.5]) {
      const above = await findInstances(
        logits,
        { width, height },
        { scoreThreshold: threshold, sizeThreshold: 200 },
        async () => undefined,
      );
      assert.deepEqual(
        above.map(({ query }) => maskQueries[query]),
        found.filter(({ score, areaPx }) => score > Math.fround(threshold) && areaPx > 200).map(({ query }) => query),
      );
    }
  });
}

/** Lengths of alternating runs, row by row, zeros first. */
function rowRuns({ width, height, rowStart, start, end }: RunMask): number[] {
  const lengths: number[] = [];
  let position = 0;
  let last = 0;
  for (let row = 0; row < height; row++) {
    for (let run = rowStart[row] ?? 0; run < (rowStart[row + 1] ?? 0); run++) {
      const from = row * width + (start[run] ?? 0);
      if (from === position && lengths.length > 0) {
        // A run that goes on from one row's end to the next one's start.
        lengths[lengths.length - 1] = (lengths.at(-1) ?? 0) + (end[run] ?? 0) - (start[run] ?? 0);
      } else {
        lengths.push(from - last, (end[run] ?? 0) - (start[run] ?? 0));
      }
      position = row * width + (end[run] ?? 0);
      last = position;
    }
  }
  return last < width * height ? [...lengths, width * height - last] : lengths;
}
