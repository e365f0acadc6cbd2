import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { readerOf } from '../../clients/import/bundle-source.ts';
import type { Lookup } from '../../clients/import/m2f/evaluate/arrays.ts';
import { evaluateM2f } from '../../clients/import/m2f/evaluate/evaluate-m2f.ts';
import { parseM2fSettings } from '../../clients/import/m2f/settings.ts';
import { mappingGet } from '../../clients/import/pickle-value.ts';
import { openFolderSource } from '../../clients/import/sources/folder-source.ts';
import { stateDictOf } from '../../clients/import/state-dict.ts';
import { TorchCheckpoint } from '../../clients/import/torch-checkpoint.ts';
import { checkGolden } from '../support/m2f/check-golden.ts';
import { readGolden } from '../support/m2f/goldens.ts';
import { needsReferenceData, referencePath } from '../support/reference-data.ts';

const { signal } = new AbortController();
const FILE = 'model_final.pth';

async function readTensors(): Promise<ReadonlyMap<string, Float32Array>> {
  const source = await openFolderSource(referencePath('bundles', 'segmentation_models', 'M2F', 'SynthSmall'), signal);
  try {
    const file = (await source.list(signal)).find(({ path }) => path === FILE) ?? assert.fail(`no ${FILE}`);
    const checkpoint = await TorchCheckpoint.open(readerOf(source, file, signal), signal);
    return await checkpoint.readTensors(stateDictOf(mappingGet(checkpoint.root, 'model') ?? null, FILE).tensors);
  } finally {
    await source.close();
  }
}

describe('the formulas that the graphs are compared with', needsReferenceData, () => {
  it("give the reference's answers themselves", async () => {
    const golden = await readGolden('SynthSmall_crop');
    const tensors = await readTensors();
    const config = readFileSync(referencePath('bundles', 'segmentation_models', 'M2F', 'SynthSmall', 'config.yaml'));
    const tensor: Lookup = async (name) => tensors.get(name) ?? assert.fail(`no tensor ${name}`);
    const answer = await evaluateM2f(parseM2fSettings(config, 'config.yaml'), tensor, golden.image);
    const masks = answer.attentionMasks.map(({ data }, layer) => [`masks.${layer}`, Float32Array.from(data)] as const);
    checkGolden(golden, {
      classLogits: Float32Array.from(answer.classLogits.data),
      maskLogits: Float32Array.from(answer.maskLogits.data),
      size: [100, 64, 80],
      probes: new Map(masks),
    });
  });
});
