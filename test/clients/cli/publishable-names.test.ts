import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { findPublishables } from '../../../clients/cli/find-publishables.ts';
import { openPublishable } from '../../../clients/cli/open-publishable.ts';
import { serverModelName } from '../../../clients/import/suggest-name.ts';
import { createUploadProgress } from '../../../clients/cli/upload-progress.ts';
import { writeFiles } from '../../support/bundle-files.ts';
import { ammFiles, contrastDict, randomAmm, randomGmm } from '../../support/bundle-models.ts';
import { writeZip } from '../../support/bundle-zip.ts';

const AMM: Record<string, Buffer> = ammFiles(randomAmm({ classCount: 3, embeddingSize: 4, depth: 1, hasSpectralNorm: true }));
const GMM: Record<string, Buffer> = { 'contrast_dict.json': contrastDict(randomGmm(['1', '2'], 1)) };
const never = new AbortController().signal;
const progress = createUploadProgress({ isTerminal: false, columns: 80, write: () => Promise.resolve() });

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'names-'));
});
afterEach(() => rm(folder, { recursive: true }));

/** A bundle at each path: what ends with `.zip` is one, of the folder behind the colon where there is one. */
async function store(bundles: Readonly<Record<string, Record<string, Buffer>>>): Promise<void> {
  for (const [place, files] of Object.entries(bundles)) {
    const [path = '', inner = ''] = place.split(':');
    if (path.endsWith('.zip')) {
      const named = Object.entries(files).map(([name, bytes]) => ({ name: inner === '' ? name : `${inner}/${name}`, bytes }));
      await mkdir(dirname(join(folder, path)), { recursive: true });
      await writeFile(join(folder, path), writeZip(named));
    } else {
      writeFiles(join(folder, path), files);
    }
  }
}

/** The names that `maskterial publish` gives to what is in a folder. */
async function namesIn(path: string): Promise<string[]> {
  const names = [];
  for (const candidate of await findPublishables(join(folder, path), {}, never)) {
    const bundle = await candidate.open(progress, never);
    names.push(bundle.suggestedName ?? '');
    await bundle.close();
  }
  return names;
}

/** The name that `maskterial import` gives to the only bundle there. */
async function nameOf(path: string): Promise<string | undefined> {
  const bundle = await openPublishable(join(folder, path), never);
  await bundle.close();
  return bundle.suggestedName;
}

/** Whether folder or zip, alone or in a set, published or imported: one bundle has one name. */
const SINGLE: readonly [place: string, root: string, name: string][] = [
  ['CLS_AMM_WSe2', 'CLS_AMM_WSe2', 'CLS_AMM_WSe2'],
  ['CLS_AMM_WSe2/WSe2', 'CLS_AMM_WSe2', 'CLS_AMM_WSe2'],
  ['CLS_AMM_WSe2/WSe2/final', 'CLS_AMM_WSe2', 'CLS_AMM_WSe2'],
  ['CLS_GMM_WSe2/WSe2', 'CLS_GMM_WSe2', 'WSe2'],
  ['CLS_AMM_WSe2.zip:WSe2', 'CLS_AMM_WSe2.zip', 'CLS_AMM_WSe2'],
  ['WSe2/final', 'WSe2', 'final'],
  ['classification_models/AMM/WSe2', 'classification_models/AMM/WSe2', 'CLS_AMM_WSe2'],
  ['classification_models/AMM/CLS_AMM_WSe2', 'classification_models/AMM/CLS_AMM_WSe2', 'CLS_AMM_WSe2'],
  ['classification_models/AMM/WSe2.zip', 'classification_models/AMM/WSe2.zip', 'CLS_AMM_WSe2'],
  ['classification_models/AMM/CLS_AMM_WSe2.zip', 'classification_models/AMM/CLS_AMM_WSe2.zip', 'CLS_AMM_WSe2'],
  ['classification_models/AMM/WSe2.zip:WSe2', 'classification_models/AMM/WSe2.zip', 'CLS_AMM_WSe2'],
  ['classification_models/AMM/WSe2.zip:final', 'classification_models/AMM/WSe2.zip', 'CLS_AMM_WSe2'],
];
describe('the name of a bundle', () => {
  for (const [place, root, name] of SINGLE) {
    it(`of ${place} is ${name}, whichever command asks`, async () => {
      await store({ [place]: AMM });
      assert.equal(await nameOf(root), name);
      assert.deepEqual(await namesIn(root), [name]);
    });
  }

  it('is no name of a folder that holds others too', async () => {
    await store({
      'CLS_AMM_experiments/run7': AMM,
      'CLS_AMM_experiments/run8/out': AMM,
      'CLS_AMM_experiments/CLS_AMM_9/out': AMM,
    });
    assert.deepEqual((await namesIn('CLS_AMM_experiments')).toSorted(), ['CLS_AMM_9', 'out', 'run7']);
  });

  it('tells the families of one name apart, in unpacked published zips as in zips', async () => {
    await store({
      'set/CLS_AMM_WSe2/WSe2': AMM,
      'set/CLS_GMM_WSe2/WSe2': GMM,
      'set/CLS_AMM_A.zip:A': AMM,
      'set/CLS_GMM_A.zip:A': GMM,
    });
    assert.deepEqual((await namesIn('set')).toSorted(), ['CLS_AMM_A', 'CLS_AMM_WSe2', 'CLS_GMM_A', 'CLS_GMM_WSe2']);
  });

  it("begins as its family's published files do, once, in the folders of MaskTerial's own server", () => {
    for (const [kind, family, prefix] of [
      ['segmentation_models', 'M2F', 'SEG_M2F_'],
      ['classification_models', 'AMM', 'CLS_AMM_'],
      ['classification_models', 'GMM', 'CLS_GMM_'],
      ['classification_models', 'MLP', 'CLS_MLP_'],
      ['postprocessing_models', 'L2', 'PP_L2_'],
    ] as const) {
      assert.equal(serverModelName(`${kind}/${family}/X`, family), `${prefix}X`);
      assert.equal(serverModelName(`${kind}/${family}/${prefix}X`, family), `${prefix}X`);
    }
    assert.equal(serverModelName('classification_models/AMM/X', 'GMM'), undefined);
  });
});
