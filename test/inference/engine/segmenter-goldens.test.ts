import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { importBundle } from '../../../clients/import/import-bundle.ts';
import { openFolderSource } from '../../../clients/import/sources/folder-source.ts';
import { Engine } from '../../../inference/engine/engine.ts';
import { SharpDecoder } from '../../../inference/engine/sharp-decoder.ts';
import { LIMITS, readGolden } from '../../support/m2f/goldens.ts';
import { imported } from '../../support/m2f/m2f-servable.ts';
import { largestPart } from '../../support/m2f/naive-flakes.ts';
import { decodeMask } from '../../support/mask-decoder.ts';
import { needsReferenceData, referencePath } from '../../support/reference-data.ts';

const NAME = 'SynthSmall_crop';

test("the reference's instances, from an encoded image to flakes", needsReferenceData, async (t) => {
  // Before the decoder, which forbids sharp to read files in this process.
  const { instances, image } = await readGolden(NAME);
  const { signal } = new AbortController();
  const folder = await mkdtemp(join(tmpdir(), 'segmenter-goldens-'));
  t.after(() => rm(folder, { recursive: true, force: true }));
  const source = await openFolderSource(referencePath('bundles', 'segmentation_models', 'M2F', 'SynthSmall'), signal);
  const servable = await imported(folder, 'S:1', await importBundle(source, { signal }));
  await source.close();
  const engine = new Engine({ decoder: new SharpDecoder({ maxPixels: 1e6 }) }, { threads: 1, warmUpPixels: 2000 });
  assert.deepEqual(await engine.load([servable]), []);

  const expected = instances.filter(({ area }) => area > 0);
  const settings = {
    thresholds: { scoreThreshold: 0, minClassOccupancy: 0, sizeThreshold: 0 },
    includeReference: true,
    classNames: new Map([[1, 'flake']]),
  };
  const bytes = await readFile(referencePath('m2f', 'goldens', NAME, 'input.png'));
  const request = { models: { segmentation: servable.id } };
  const { flakes, width, height } = await engine.predict(bytes, request, settings, () => undefined, signal);
  assert.deepEqual([width, height], [image.width, image.height]);
  assert.equal(flakes.length, expected.length);
  for (const [index, { score, rle_row_major: runs }] of expected.entries()) {
    const flake = flakes[index] ?? assert.fail();
    assert.ok(Math.abs(flake.score - score) <= LIMITS[NAME].score, `instance ${index}: ${flake.score} for ${score}`);
    assert.deepEqual([flake.classIndex, flake.layerName, flake.reference?.entropy], [1, 'flake', -1]);
    if (runs !== undefined) {
      const part = largestPart({ width, height, pixels: painted(runs) });
      const found = decodeMask(flake.mask);
      const wrong = part.reduce((sum, pixel, at) => sum + (pixel === found[at] ? 0 : 1), 0);
      assert.ok(wrong <= 1, `instance ${index}: ${wrong} pixels differ`);
    }
  }
});

/** Of alternating runs, zeros first. */
function painted(runs: readonly number[]): Uint8Array {
  return Uint8Array.from(runs.flatMap((length, index) => Array.from({ length }, () => index % 2)));
}
