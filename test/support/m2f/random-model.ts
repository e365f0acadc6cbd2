import { stringify } from 'yaml';
import type { Lookup } from '../../../clients/import/m2f/evaluate/arrays.ts';
import { parseM2fSettings } from '../../../clients/import/m2f/settings.ts';
import { expectedTensors } from '../../../clients/import/m2f/tensors.ts';
import { seededRandom } from '../bundle-models.ts';
import { type CheckpointWriter, checkpointParts, type LazyTensor } from './checkpoint.ts';
import type { M2fShape } from './shape.ts';

export interface M2fModel {
  readonly shape: M2fShape;
  readonly config: string;
  readonly tensors: readonly LazyTensor[];
}

/** The smallest sizes that have everything: several blocks, heads, layers and queries. */
export const TINY: M2fShape = {
  stem: 6,
  width: 4,
  outputs: 12,
  groups: 1,
  blocks: [3, 4, 6, 3],
  isStrideIn1x1: false,
  convs: 32,
  maskWidth: 20,
  encoderLayers: 2,
  heads: 4,
  hidden: 32,
  feedForward: 24,
  decoderLayers: 4,
  queries: 7,
  divisibility: 32,
  mean: [107, 148, 85],
  std: [33, 34, 40],
};

/** What a change of the config puts in place of a value; `undefined` leaves the key out. */
export type ConfigChanges = Readonly<Record<string, unknown>>;

/**
 * A config as the training code dumps it: everything that is read, some that is not, and one list under two keys, which makes an
 * anchor and an alias.
 */
export function configText(shape: M2fShape, changes: ConfigChanges = {}): string {
  const weights = [1, 1, 1, 1];
  const values: Record<string, unknown> = {
    'DATASETS.TRAIN': ['Maskterial_Dataset'],
    'INPUT.FORMAT': 'BGR',
    'INPUT.MIN_SIZE_TEST': 0,
    'MODEL.META_ARCHITECTURE': 'MaskFormer',
    'MODEL.PIXEL_MEAN': shape.mean,
    'MODEL.PIXEL_STD': shape.std,
    'MODEL.BACKBONE.FREEZE_AT': 10,
    'MODEL.BACKBONE.NAME': 'build_resnet_backbone',
    'MODEL.RESNETS.DEFORM_ON_PER_STAGE': [false, false, false, false],
    'MODEL.RESNETS.DEPTH': shape.blocks[2] === 23 ? 101 : 50,
    'MODEL.RESNETS.NORM': 'FrozenBN',
    'MODEL.RESNETS.NUM_GROUPS': shape.groups,
    'MODEL.RESNETS.OUT_FEATURES': ['res2', 'res3', 'res4', 'res5'],
    'MODEL.RESNETS.RES2_OUT_CHANNELS': shape.outputs,
    'MODEL.RESNETS.RES4_DILATION': 1,
    'MODEL.RESNETS.RES5_DILATION': 1,
    'MODEL.RESNETS.STEM_OUT_CHANNELS': shape.stem,
    'MODEL.RESNETS.STRIDE_IN_1X1': shape.isStrideIn1x1,
    'MODEL.RESNETS.WIDTH_PER_GROUP': shape.width / shape.groups,
    'MODEL.RETINANET.BBOX_REG_WEIGHTS': weights,
    'MODEL.RPN.BBOX_REG_WEIGHTS': weights,
    'MODEL.SEM_SEG_HEAD.COMMON_STRIDE': 4,
    'MODEL.SEM_SEG_HEAD.CONVS_DIM': shape.convs,
    'MODEL.SEM_SEG_HEAD.DEFORMABLE_TRANSFORMER_ENCODER_IN_FEATURES': ['res3', 'res4', 'res5'],
    'MODEL.SEM_SEG_HEAD.IN_FEATURES': ['res2', 'res3', 'res4', 'res5'],
    'MODEL.SEM_SEG_HEAD.MASK_DIM': shape.maskWidth,
    'MODEL.SEM_SEG_HEAD.NAME': 'MaskFormerHead',
    'MODEL.SEM_SEG_HEAD.NORM': 'GN',
    'MODEL.SEM_SEG_HEAD.NUM_CLASSES': 1,
    'MODEL.SEM_SEG_HEAD.PIXEL_DECODER_NAME': 'MSDeformAttnPixelDecoder',
    'MODEL.SEM_SEG_HEAD.TRANSFORMER_ENC_LAYERS': shape.encoderLayers,
    'MODEL.MASK_FORMER.DEC_LAYERS': shape.decoderLayers + 1,
    'MODEL.MASK_FORMER.DIM_FEEDFORWARD': shape.feedForward,
    'MODEL.MASK_FORMER.ENFORCE_INPUT_PROJ': false,
    'MODEL.MASK_FORMER.HIDDEN_DIM': shape.hidden,
    'MODEL.MASK_FORMER.NHEADS': shape.heads,
    'MODEL.MASK_FORMER.NUM_OBJECT_QUERIES': shape.queries,
    'MODEL.MASK_FORMER.PRE_NORM': false,
    'MODEL.MASK_FORMER.SIZE_DIVISIBILITY': shape.divisibility,
    'MODEL.MASK_FORMER.TEST.INSTANCE_ON': true,
    'MODEL.MASK_FORMER.TEST.PANOPTIC_ON': false,
    'MODEL.MASK_FORMER.TEST.SEMANTIC_ON': false,
    'MODEL.MASK_FORMER.TRANSFORMER_DECODER_NAME': 'MultiScaleMaskedTransformerDecoder',
    'MODEL.MASK_FORMER.TRANSFORMER_IN_FEATURE': 'multi_scale_pixel_decoder',
    'MODEL.WEIGHTS': './pretrained/model_final.pth',
    'SOLVER.BASE_LR': 1e-5,
    'SOLVER.WEIGHT_DECAY_BIAS': null,
    'TEST.DETECTIONS_PER_IMAGE': 100,
    VERSION: 2,
    ...changes,
  };
  return stringify(nested(values));
}

function nested(values: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const root: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(values)) {
    if (value === undefined) continue;
    const parts = key.split('.');
    let target = root;
    for (const part of parts.slice(0, -1)) {
      const next = target[part];
      const inner: Record<string, unknown> = isRecord(next) ? next : {};
      target[part] = inner;
      target = inner;
    }
    target[parts.at(-1) ?? ''] = value;
  }
  return root;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Random weights at which activations stay of order one from end to end and no two masks are alike. */
export function randomM2f(shape: M2fShape, seed = 1): M2fModel {
  const random = seededRandom(seed);
  const config = configText(shape);
  const expected = expectedTensors(parseM2fSettings(Buffer.from(config), 'config.yaml'));
  const tensors = [...expected].map(([name, size]): LazyTensor => {
    const count = size.reduce((product, each) => product * each, 1);
    const [center, spread] = rangeOf(name, size);
    const values = Float32Array.from({ length: count }, () => center + 2 * spread * random());
    return { name, shape: size, values: () => values };
  });
  const lossWeights = Float32Array.of(1, 0.1);
  return { shape, config, tensors: [...tensors, { name: 'criterion.empty_weight', shape: [2], values: () => lossWeights }] };
}

/** Its tensors as the formulas ask for them. */
export function lookupIn({ tensors }: Pick<M2fModel, 'tensors'>): Lookup {
  const byName = new Map(tensors.map(({ name, values }) => [name, values]));
  return async (name) => {
    const values = byName.get(name);
    if (values === undefined) throw new Error(`no tensor ${name}`);
    return values();
  };
}

/** Middle and half width of the values. */
function rangeOf(name: string, size: readonly number[]): readonly [number, number] {
  const inputs = size.slice(1).reduce((product, each) => product * each, 1);
  if (name.endsWith('running_var')) return [1, 0.5];
  if (size.length === 1) return /norm\d?\.weight$|input_proj\.\d\.1\.weight$/.test(name) ? [1, 0.2] : [0, 0.3];
  if (/embed\.weight$|query_feat|level_embed$/.test(name)) return [0, 1];
  // Points up to a few pixels away, also beyond the border.
  if (name.includes('sampling_offsets')) return [0, 3 / Math.sqrt(inputs)];
  return [0, (0.7 * Math.sqrt(6)) / Math.sqrt(inputs)];
}

/** The bundle's files. */
export function m2fFiles(
  model: M2fModel,
  writer: CheckpointWriter & { readonly weightsName?: string; readonly config?: string } = {},
): Record<string, Buffer> {
  return {
    'config.yaml': Buffer.from(writer.config ?? model.config),
    [writer.weightsName ?? 'model_final.pth']: Buffer.concat([...checkpointParts(model.tensors, writer)]),
  };
}

/** An image of noise around the mean colour, [H, W, 3] in order B, G, R. */
export function randomImage(height: number, width: number, seed = 9): { height: number; width: number; data: Uint8Array } {
  const random = seededRandom(seed);
  return { height, width, data: Uint8Array.from({ length: height * width * 3 }, () => Math.floor((random() + 0.5) * 256)) };
}
