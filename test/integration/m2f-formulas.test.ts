import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readerOf } from '../../clients/import/bundle-source.ts';
import { mappingGet } from '../../clients/import/pickle-value.ts';
import { openFolderSource } from '../../clients/import/sources/folder-source.ts';
import { stateDictOf } from '../../clients/import/state-dict.ts';
import { TorchCheckpoint } from '../../clients/import/torch-checkpoint.ts';
import { checkGolden } from '../support/m2f/check-golden.ts';
import { evaluateM2f, type Tensors } from '../support/m2f/formulas.ts';
import { readGolden } from '../support/m2f/goldens.ts';
import { TINY } from '../support/m2f/random-model.ts';
import { needsReferenceData, referencePath } from '../support/reference-data.ts';

const { signal } = new AbortController();
const FILE = 'model_final.pth';

async function readTensors(): Promise<Tensors> {
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
    const shape = {
      ...TINY,
      stem: 16,
      width: 8,
      outputs: 32,
      convs: 64,
      maskWidth: 64,
      encoderLayers: 6,
      heads: 8,
      hidden: 64,
      feedForward: 256,
      decoderLayers: 9,
      queries: 100,
    };
    const answer = evaluateM2f(shape, await readTensors(), golden.image);
    const masks = answer.attentionMasks.map(({ data }, layer) => [`masks.${layer}`, Float32Array.from(data)] as const);
    checkGolden(golden, {
      classLogits: Float32Array.from(answer.classLogits.data),
      maskLogits: Float32Array.from(answer.maskLogits.data),
      size: [100, 64, 80],
      probes: new Map(masks),
    });
  });
});
