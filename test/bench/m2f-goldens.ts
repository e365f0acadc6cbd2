import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { importBundle } from '../../clients/import/import-bundle.ts';
import { openFolderSource } from '../../clients/import/sources/folder-source.ts';
import { writeCheckpoint } from '../support/m2f/checkpoint.ts';
import { compareWithGolden, type GoldenName, LIMITS, readGolden } from '../support/m2f/goldens.ts';
import { runM2f } from '../support/m2f/run-m2f.ts';
import { synthFullPath, synthFullTensors } from '../support/m2f/synth-full.ts';
import { referencePath } from '../support/reference-data.ts';

const MEASURES = ['classLogits', 'maskLogits', 'score', 'pixels'] as const;

/** `npm run bench m2f-goldens`: observed beside allowed differences from the reference's outputs, for the bare graphs. */
export async function benchM2fGoldens(): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'maskterial-bench-goldens-'));
  try {
    await writeFile(join(folder, 'config.yaml'), await readFile(synthFullPath('config.yaml')));
    writeCheckpoint(join(folder, 'model_final.pth'), synthFullTensors());
    console.log('| case | class logits | mask logits | score | share of mask pixels |');
    console.log('| --- | --- | --- | --- | --- |');
    const small = referencePath('bundles', 'segmentation_models', 'M2F', 'SynthSmall');
    for (const name of ['SynthSmall_crop', 'SynthFull_crop', 'SynthSmall_full', 'SynthFull_full'] as const) {
      console.log(await compare(name, name.startsWith('SynthSmall') ? small : folder));
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function compare(name: GoldenName, bundle: string): Promise<string> {
  const { signal } = new AbortController();
  const source = await openFolderSource(bundle, signal);
  const golden = await readGolden(name);
  const [output] = await runM2f(await importBundle(source, { signal }), [golden.image]);
  await source.close();
  if (output === undefined) {
    throw new Error(`no output for ${name}`);
  }
  const found = compareWithGolden(golden, output);
  const cells = MEASURES.map((measure) => `${found[measure].toExponential(1)} (${LIMITS[name][measure].toExponential(1)})`);
  return `| ${[name, ...cells].join(' | ')} |`;
}
