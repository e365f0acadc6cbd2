import { invalidBundle, listSome, unsupportedModel } from '../bundle-error.ts';
import { YamlSettings } from '../yaml-settings.ts';

/** What `config.yaml` says about a Mask2Former model, as far as answers depend on it. */
export interface M2fSettings {
  /** Per channel, in order B, G, R. */
  readonly pixelMean: readonly number[];
  readonly pixelStd: readonly number[];
  /** Images are padded to multiples of this. */
  readonly sizeDivisibility: number;
  readonly backbone: BackboneSettings;
  readonly pixelDecoder: PixelDecoderSettings;
  readonly maskDecoder: MaskDecoderSettings;
}

/** A residual network of bottleneck blocks with four stages, res2 to res5. */
export interface BackboneSettings {
  readonly stemWidth: number;
  readonly stages: readonly StageSettings[];
  readonly groups: number;
  /** Whether a stage's stride is on the first 1 x 1 convolution of its first block or on the 3 x 3 one. */
  readonly isStrideIn1x1: boolean;
}

export interface StageSettings {
  /** `res2` to `res5`. */
  readonly name: string;
  readonly blocks: number;
  readonly inputs: number;
  readonly width: number;
  readonly outputs: number;
  readonly stride: number;
}

/** The deformable encoder over three levels, and the step to a quarter of the image's size. */
export interface PixelDecoderSettings {
  readonly width: number;
  readonly heads: number;
  readonly layers: number;
  readonly maskWidth: number;
}

export interface MaskDecoderSettings {
  readonly width: number;
  readonly heads: number;
  readonly layers: number;
  readonly feedForward: number;
  readonly queries: number;
  /** Whether the encoder's levels pass a 1 x 1 convolution first: where widths differ, or always where the config says so. */
  readonly hasInputProjection: boolean;
}

/** Fixed in the original code rather than read from its config. */
export const ENCODER_FEED_FORWARD = 1024;
export const SAMPLING_POINTS = 4;
export const NORM_GROUPS = 32;
/** Encoder levels, coarse first: 1/32, 1/16 and 1/8 of the image. */
export const LEVELS = ['res5', 'res4', 'res3'] as const;
/** There is one class, flake; the second logit stands for "no object". */
export const CLASS_LOGITS = 2;

const CHANNELS = 3;
const STAGES = ['res2', 'res3', 'res4', 'res5'] as const;
/** Blocks a stage by the network's depth; shallower networks have blocks of another kind. */
const BLOCKS: Readonly<Record<50 | 101 | 152, readonly number[]>> = {
  50: [3, 4, 6, 3],
  101: [3, 4, 23, 3],
  152: [3, 8, 36, 3],
};
/** Bounds for files that are not trusted. What they can ask for together is bounded by the number of their weights. */
const MAX_WIDTH = 8192;
const MAX_LAYERS = 64;
const MAX_QUERIES = 1000;

/**
 * Reads the settings of a full config dump. Everything that the answer depends on has to be there: no default is assumed.
 * @throws INVALID_BUNDLE listing every key that is missing or malformed, otherwise UNSUPPORTED_MODEL listing every value that is
 * not implemented.
 */
export function parseM2fSettings(bytes: Uint8Array, file: string): M2fSettings {
  const yaml = new YamlSettings(bytes, file);
  const architecture = yaml.find('MODEL.META_ARCHITECTURE');
  if (typeof architecture === 'string' && architecture !== 'MaskFormer') {
    yaml.oneOf('MODEL.META_ARCHITECTURE', ['MaskFormer']);
    throw unsupportedModel(file, `${yaml.unsupported.join()}; of segmentation models only Mask2Former is implemented`);
  }
  const settings = readSettings(yaml);
  const { malformed, unsupported } = yaml;
  if (malformed.length > 0) {
    throw invalidBundle(file, `not the full config of a Mask2Former model: ${listSome([...malformed, ...unsupported])}`);
  }
  if (unsupported.length > 0) {
    throw unsupportedModel(file, `values that are not implemented: ${listSome(unsupported)}`);
  }
  return settings;
}

function readSettings(yaml: YamlSettings): M2fSettings {
  const widths = checkAgreement(yaml, {
    heads: yaml.integer('MODEL.MASK_FORMER.NHEADS', 1, MAX_WIDTH),
    convs: yaml.integer('MODEL.SEM_SEG_HEAD.CONVS_DIM', 1, MAX_WIDTH),
    hidden: yaml.integer('MODEL.MASK_FORMER.HIDDEN_DIM', 1, MAX_WIDTH),
    queries: yaml.integer('MODEL.MASK_FORMER.NUM_OBJECT_QUERIES', 1, MAX_QUERIES),
  });
  yaml.oneOf('MODEL.META_ARCHITECTURE', ['MaskFormer']);
  yaml.oneOf('INPUT.FORMAT', ['BGR']);
  yaml.oneOf('MODEL.SEM_SEG_HEAD.NAME', ['MaskFormerHead']);
  yaml.oneOf('MODEL.SEM_SEG_HEAD.PIXEL_DECODER_NAME', ['MSDeformAttnPixelDecoder']);
  yaml.oneOf('MODEL.SEM_SEG_HEAD.NUM_CLASSES', [1]);
  yaml.oneOf('MODEL.SEM_SEG_HEAD.NORM', ['GN']);
  yaml.oneOf('MODEL.SEM_SEG_HEAD.COMMON_STRIDE', [4]);
  yaml.sameItems('MODEL.SEM_SEG_HEAD.IN_FEATURES', STAGES);
  yaml.sameItems('MODEL.SEM_SEG_HEAD.DEFORMABLE_TRANSFORMER_ENCODER_IN_FEATURES', LEVELS);
  yaml.oneOf('MODEL.MASK_FORMER.TRANSFORMER_DECODER_NAME', ['MultiScaleMaskedTransformerDecoder']);
  yaml.oneOf('MODEL.MASK_FORMER.TRANSFORMER_IN_FEATURE', ['multi_scale_pixel_decoder']);
  yaml.oneOf('MODEL.MASK_FORMER.PRE_NORM', [false]);
  yaml.oneOf('MODEL.MASK_FORMER.TEST.INSTANCE_ON', [true]);
  yaml.oneOf('MODEL.MASK_FORMER.TEST.SEMANTIC_ON', [false]);
  yaml.oneOf('MODEL.MASK_FORMER.TEST.PANOPTIC_ON', [false]);
  return {
    pixelMean: yaml.numbers('MODEL.PIXEL_MEAN', CHANNELS, () => true, 'finite numbers'),
    pixelStd: yaml.numbers('MODEL.PIXEL_STD', CHANNELS, (value) => value > 0, 'numbers above 0'),
    sizeDivisibility: readSizeDivisibility(yaml),
    backbone: readBackbone(yaml),
    pixelDecoder: {
      width: widths.convs,
      heads: widths.heads,
      layers: yaml.integer('MODEL.SEM_SEG_HEAD.TRANSFORMER_ENC_LAYERS', 1, MAX_LAYERS),
      maskWidth: yaml.integer('MODEL.SEM_SEG_HEAD.MASK_DIM', 1, MAX_WIDTH),
    },
    maskDecoder: {
      width: widths.hidden,
      heads: widths.heads,
      layers: readDecoderLayers(yaml),
      feedForward: yaml.integer('MODEL.MASK_FORMER.DIM_FEEDFORWARD', 1, MAX_WIDTH),
      queries: widths.queries,
      hasInputProjection: yaml.boolean('MODEL.MASK_FORMER.ENFORCE_INPUT_PROJ') || widths.convs !== widths.hidden,
    },
  };
}

interface Widths {
  readonly heads: number;
  readonly convs: number;
  readonly hidden: number;
  readonly queries: number;
}

/** Widths that no model can have been built with, and detections that would be left out. */
function checkAgreement(yaml: YamlSettings, widths: Widths): Widths {
  const { heads, convs, hidden, queries } = widths;
  if (convs % NORM_GROUPS !== 0 || convs % heads !== 0) {
    yaml.malformed.push(
      `MODEL.SEM_SEG_HEAD.CONVS_DIM: ${convs} is not a multiple of ${NORM_GROUPS} groups and of MODEL.MASK_FORMER.NHEADS, ${heads}`,
    );
  }
  // Sines and cosines of rows and of columns, a quarter each.
  if (hidden % 4 !== 0 || hidden % heads !== 0) {
    yaml.malformed.push(
      `MODEL.MASK_FORMER.HIDDEN_DIM: ${hidden} is not a multiple of 4 and of MODEL.MASK_FORMER.NHEADS, ${heads}`,
    );
  }
  const detections = yaml.integer('TEST.DETECTIONS_PER_IMAGE', 1, Number.MAX_SAFE_INTEGER);
  if (detections < queries) {
    yaml.unsupported.push(`TEST.DETECTIONS_PER_IMAGE: expected at least the ${queries} queries, found ${detections}`);
  }
  return widths;
}

/** A multiple of 32, the backbone's own stride. */
function readSizeDivisibility(yaml: YamlSettings): number {
  const key = 'MODEL.MASK_FORMER.SIZE_DIVISIBILITY';
  const value = yaml.integer(key, -1, MAX_WIDTH);
  if (value < 32 || value % 32 !== 0) {
    yaml.unsupported.push(`${key}: expected a multiple of 32, found ${value}`);
  }
  return value;
}

/** The config counts the first prediction, which no layer comes before. */
function readDecoderLayers(yaml: YamlSettings): number {
  const key = 'MODEL.MASK_FORMER.DEC_LAYERS';
  const value = yaml.integer(key, 1, MAX_LAYERS);
  if (value <= LEVELS.length) {
    yaml.unsupported.push(`${key}: expected at least ${LEVELS.length + 1}, a layer for each level, found ${value}`);
  }
  return value - 1;
}

function readBackbone(yaml: YamlSettings): BackboneSettings {
  const resnets = 'MODEL.RESNETS';
  yaml.oneOf('MODEL.BACKBONE.NAME', ['build_resnet_backbone']);
  yaml.oneOf(`${resnets}.NORM`, ['FrozenBN']);
  yaml.oneOf(`${resnets}.RES4_DILATION`, [1]);
  yaml.oneOf(`${resnets}.RES5_DILATION`, [1]);
  yaml.sameItems(`${resnets}.OUT_FEATURES`, STAGES);
  yaml.sameItems(
    `${resnets}.DEFORM_ON_PER_STAGE`,
    STAGES.map(() => false),
  );
  const blocks = BLOCKS[yaml.oneOf(`${resnets}.DEPTH`, [50, 101, 152])];
  const stemWidth = yaml.integer(`${resnets}.STEM_OUT_CHANNELS`, 1, MAX_WIDTH);
  const outputs = yaml.integer(`${resnets}.RES2_OUT_CHANNELS`, 1, MAX_WIDTH);
  const groups = yaml.integer(`${resnets}.NUM_GROUPS`, 1, MAX_WIDTH);
  const width = groups * yaml.integer(`${resnets}.WIDTH_PER_GROUP`, 1, MAX_WIDTH);
  const stages = STAGES.map(
    (name, index): StageSettings => ({
      name,
      blocks: blocks[index] ?? 0,
      inputs: index === 0 ? stemWidth : outputs * 2 ** (index - 1),
      width: width * 2 ** index,
      outputs: outputs * 2 ** index,
      stride: index === 0 ? 1 : 2,
    }),
  );
  return { stemWidth, stages, groups, isStrideIn1x1: yaml.boolean(`${resnets}.STRIDE_IN_1X1`) };
}
