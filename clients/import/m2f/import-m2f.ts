import { invalidBundle } from '../bundle-error.ts';
import { readerOf, readWhole } from '../bundle-source.ts';
import { type Bundle, bundleFile, checkFiles } from '../detect.ts';
import type { FamilyImporter } from '../family-importer.ts';
import { mappingGet } from '../pickle-value.ts';
import { requireTensors, stateDictOf } from '../state-dict.ts';
import { TorchCheckpoint } from '../torch-checkpoint.ts';
import { MAX_SETTINGS_BYTES } from '../yaml-settings.ts';
import { buildM2fGraph } from './build-graph.ts';
import type { Checkpoint } from './graph-context.ts';
import { m2fCheck } from './m2f-check.ts';
import { estimateMemory } from './memory.ts';
import { CLASS_LOGITS, type M2fSettings, parseM2fSettings } from './settings.ts';
import { expectedTensors, IGNORED_TENSORS } from './tensors.ts';

const SETTINGS_FILE = 'config.yaml';
/** The first that is there, as the reference chooses. */
const WEIGHT_FILES = ['model.pth', 'model_final.pth'] as const;
/** 400 MB, all of it held until the import is published where the checkpoint is compressed; the published models have 44 million. */
const MAX_VALUES = 100_000_000;
/** Raised when the same bundle gives another graph. */
const VERSION = 'm2f 1';

/** Mask2Former: finds flakes in the image itself, as masks with scores. */
export const m2fImporter: FamilyImporter = {
  name: VERSION,
  kind: 'segmentation',
  async import(bundle, signal) {
    const weightsName = WEIGHT_FILES.find((name) => bundle.files.has(name)) ?? WEIGHT_FILES[0];
    const usedFiles = [SETTINGS_FILE, weightsName];
    checkFiles(bundle, usedFiles);
    const settingsFile = bundleFile(bundle, SETTINGS_FILE);
    const settings = parseM2fSettings(
      await readWhole(bundle.source, settingsFile, MAX_SETTINGS_BYTES, signal),
      settingsFile.path,
    );
    const checkpoint = await readWeights(bundle, weightsName, settings, signal);
    const { graph, files } = buildM2fGraph(settings, checkpoint);
    const weights = [];
    for (const file of files) {
      weights.push({ file, described: await file.describe() });
    }
    const locations = new Map(weights.map(({ file, described }) => file.location(described)));
    const { queries } = settings.maskDecoder;
    return {
      contract: 'mask2former-segmenter.v1',
      graph: graph.build(VERSION, { family: 'M2F' }, locations),
      weights: weights.map(({ described }) => described),
      inputs: [{ name: 'image', type: 'uint8', shape: ['H', 'W', 3] }],
      outputs: [
        { name: 'class_logits', type: 'float32', shape: [queries, CLASS_LOGITS] },
        { name: 'mask_logits', type: 'float32', shape: [queries, 'h', 'w'] },
      ],
      // Masks carry no layer count: without a classifier every flake is of class 1.
      classes: [{ index: 1, name: 'flake' }],
      memory: estimateMemory(
        settings,
        weights.reduce((sum, { described }) => sum + described.ref.sizeBytes, 0),
      ),
      check: await m2fCheck(settings, checkpoint, signal),
      usedFiles,
    };
  },
};

/**
 * The values of the model's tensors: read when they are asked for; from a compressed file, which only goes forwards, all at once in
 * the order of the file and held until the import is published. Of a checkpoint with the state of its optimizer only the model's
 * half is read.
 */
async function readWeights(bundle: Bundle, name: string, settings: M2fSettings, signal: AbortSignal): Promise<Checkpoint> {
  const file = bundleFile(bundle, name);
  const required = expectedTensors(settings);
  const count = [...required.values()].reduce((sum, shape) => sum + shape.reduce((product, size) => product * size, 1), 0);
  if (count > MAX_VALUES) {
    throw invalidBundle(bundleFile(bundle, SETTINGS_FILE).path, `a model of ${count} weights, at most ${MAX_VALUES}`);
  }
  const checkpoint = await TorchCheckpoint.open(readerOf(bundle.source, file, signal), signal);
  // What training wrote has the state dict under "model", beside its own state; a bare state dict is accepted too.
  const state = mappingGet(checkpoint.root, 'model') ?? checkpoint.root;
  const refs = requireTensors(stateDictOf(state, file.path), { required, ignored: IGNORED_TENSORS }, file.path);
  const held = bundle.source.isSeekable(file.path) ? undefined : await checkpoint.readTensors(refs);
  return {
    file: file.path,
    tensor: async (tensorName) => {
      const ref = refs.get(tensorName);
      if (ref === undefined) {
        throw new Error(`${tensorName} was not required of the checkpoint`);
      }
      return held?.get(tensorName) ?? checkpoint.readTensor(tensorName, ref);
    },
  };
}
