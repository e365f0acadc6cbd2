import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { writeFiles } from './bundle-files.ts';
import { ammFiles, randomAmm } from './bundle-models.ts';
import { type LazyTensor, writeCheckpoint } from './m2f/checkpoint.ts';
import { synthFullPath, synthFullTensors } from './m2f/synth-full.ts';

/** What the original deployment's bucket held models for. */
const MATERIALS = ['GrapheneH', 'GrapheneL', 'hBN_Thin', 'WS2'] as const;

/** The published sizes. */
const AMM = { classCount: 5, embeddingSize: 16, depth: 3, hasSpectralNorm: true };

/**
 * Writes bundles as the original deployment has them, `<NAME>/<file>`: for each material a Mask2Former checkpoint of 340 MB with
 * the state of its optimizer, and an AMM classifier. All four are eight models in 24 files, 1.4 GB; the Mask2Former ones are tuned
 * from one backbone. Gives the models' names.
 */
export function writeOriginalDeployment(folder: string, materials: number): string[] {
  const names: string[] = [];
  for (const [index, material] of MATERIALS.slice(0, materials).entries()) {
    const segmenter = `SEG_M2F_${material}`;
    mkdirSync(join(folder, segmenter), { recursive: true });
    copyFileSync(synthFullPath('config.yaml'), join(folder, segmenter, 'config.yaml'));
    const tensors = synthFullTensors().map((tensor) => tuned(tensor, 1 + index / 100));
    const writer = { optimizerOf: HEAD, location: 'cuda:0', torch: 2 } as const;
    writeCheckpoint(join(folder, segmenter, 'model_final.pth'), tensors, writer);
    const classifier = `CLS_AMM_${material}`;
    writeFiles(join(folder, classifier), ammFiles(randomAmm({ ...AMM, seed: index + 1 })));
    names.push(segmenter, classifier);
  }
  return names;
}

/** What is trained after the backbone was frozen. */
const HEAD = 'sem_seg_head';

function tuned(tensor: LazyTensor, factor: number): LazyTensor {
  return tensor.name.startsWith(HEAD) ? { ...tensor, values: () => tensor.values().map((value) => value * factor) } : tensor;
}
