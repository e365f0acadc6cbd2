import assert from 'node:assert/strict';
import { compareWithGolden, type Differences, type Golden, LIMITS } from './goldens.ts';
import type { M2fOutput } from './run-m2f.ts';

/**
 * Where a mask is within rounding of 0, its sign, and with it what a query may attend to, is decided by the order in which a
 * processor adds: with these random weights that moves one query's class logits by a hundredth. The original's own run has such a
 * query. Whole images, with a million masks, may have one.
 */
const TIE_LIMIT = 2e-2;
/** Signs of that kind, as a share. */
const SIGN_LIMIT = 2e-5;

/** Asserts that an output is the reference's within its limits; with probes `masks.0` and on, that so many places are forbidden. */
export function checkGolden(golden: Golden, output: M2fOutput): Differences {
  const limits = LIMITS[golden.name];
  const found = compareWithGolden(golden, output);
  const text = JSON.stringify({ found, limits });
  const mayTie = golden.name.endsWith('_full') && found.beyond.length === 1;
  assert.ok(found.classLogits <= (mayTie ? TIE_LIMIT : limits.classLogits), text);
  assert.ok(found.maskLogits <= limits.maskLogits && found.score <= limits.score && found.pixels <= limits.pixels, text);
  golden.attention.forEach(([allForbidden, share], layer) => {
    const masks = output.probes.get(`masks.${layer}`);
    if (masks === undefined) return;
    const places = masks.length / (golden.classLogits.length / 2);
    const negative = masks.filter((value) => value < 0).length / masks.length;
    assert.ok(Math.abs(negative - share) <= SIGN_LIMIT, `layer ${layer}: ${negative} forbidden instead of ${share}`);
    let queries = 0;
    for (let first = 0; first < masks.length; first += places) {
      queries += masks.subarray(first, first + places).every((value) => value < 0) ? 1 : 0;
    }
    assert.equal(queries, allForbidden, `layer ${layer}`);
  });
  return found;
}
