import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type ImportedBundle, importBundle } from '../../../../clients/import/import-bundle.ts';
import { openFolderSource } from '../../../../clients/import/sources/folder-source.ts';
import { checkGolden } from '../../../support/m2f/check-golden.ts';
import { readArray, readGolden } from '../../../support/m2f/goldens.ts';
import { runM2f } from '../../../support/m2f/run-m2f.ts';
import { needsReferenceData, referencePath } from '../../../support/reference-data.ts';

const { signal } = new AbortController();
const LAYERS = Array.from({ length: 9 }, (_, layer) => layer);

async function importSmall(): Promise<ImportedBundle> {
  const source = await openFolderSource(referencePath('bundles', 'segmentation_models', 'M2F', 'SynthSmall'), signal);
  try {
    return await importBundle(source, { signal });
  } finally {
    await source.close();
  }
}

describe('the narrow reference model', needsReferenceData, () => {
  it("gives the reference's answers on a crop, and its stages", async () => {
    const golden = await readGolden('SynthSmall_crop');
    const stages = ['res4', 'res5', ...[0, 1, 2].flatMap((level) => [`encoding.${level}.64`, `encoder_in.${level}`])];
    const encoder = [0, 5].flatMap((layer) => [0, 1, 2].map((level) => `encoder.${layer}.${level}`));
    const masks = LAYERS.map((layer) => `masks.${layer}`);
    const [output] = await runM2f(await importSmall(), [golden.image], [...stages, ...encoder, ...masks]);
    assert.ok(output !== undefined);
    checkGolden(golden, output);
    const levels = (name: string, end = ''): number[] =>
      [0, 1, 2].flatMap((level) => [...(output.probes.get(`${name}.${level}${end}`) ?? [])]);
    const seen: readonly (readonly [string, ArrayLike<number>, number])[] = [
      ['res4', output.probes.get('res4') ?? [], 3e-4],
      ['res5', output.probes.get('res5') ?? [], 3e-4],
      ['pos_embed', levels('encoding', '.64'), 1e-5],
      ['encoder_in', levels('encoder_in'), 2e-4],
      ['encoder_layer0_out', levels('encoder.0'), 2e-4],
      ['encoder_out', levels('encoder.5'), 2e-4],
    ];
    for (const [name, found, limit] of seen) {
      const expected = readArray(referencePath('m2f', 'goldens', 'SynthSmall_crop', 'stages', `${name}.npy`));
      assert.equal(found.length, expected.length, name);
      const worst = Array.from(expected).reduce(
        (most, value, at) => Math.max(most, Math.abs(value - (found[at] ?? Number.NaN))),
        0,
      );
      assert.ok(worst <= limit, `${name} differs by ${worst}, at most ${limit} is allowed`);
    }
  });

  it("gives the reference's answers on a whole image", async () => {
    const golden = await readGolden('SynthSmall_full');
    const [output] = await runM2f(
      await importSmall(),
      [golden.image],
      LAYERS.map((layer) => `masks.${layer}`),
    );
    assert.ok(output !== undefined);
    checkGolden(golden, output);
  });
});
