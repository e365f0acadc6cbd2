import { test } from 'node:test';
import { checkGoldenFlakes } from '../support/golden-flakes.ts';
import { needsReferenceData, referenceData } from '../support/reference-data.ts';
import { TestSystem } from '../support/system.ts';

test('bundles go in, Predict gives the golden flakes of every real micrograph', needsReferenceData, async (t) => {
  if (referenceData === undefined) {
    return;
  }
  await using system = await TestSystem.start();
  await checkGoldenFlakes(t, system);
});
