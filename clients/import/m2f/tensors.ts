import { CLASS_LOGITS, ENCODER_FEED_FORWARD, LEVELS, type M2fSettings, SAMPLING_POINTS } from './settings.ts';

/** Names of the checkpoint's tensors begin so. */
export const PIXEL_DECODER = 'sem_seg_head.pixel_decoder';
export const PREDICTOR = 'sem_seg_head.predictor';

/** Layers of the network that turns a query into a mask embedding. */
export const MASK_EMBED_LAYERS = 3;

/** Weights of the loss, which evaluation never reads. */
export const IGNORED_TENSORS: ReadonlySet<string> = new Set(['criterion.empty_weight']);

/** The tensors that a model of these settings has, by name, in the order in which PyTorch lists them. */
export function expectedTensors(settings: M2fSettings): Map<string, readonly number[]> {
  const shapes = new Map<string, readonly number[]>();
  addBackbone(shapes, settings);
  addPixelDecoder(shapes, settings);
  addPredictor(shapes, settings);
  return shapes;
}

type Shapes = Map<string, readonly number[]>;

function addBackbone(shapes: Shapes, { backbone }: M2fSettings): void {
  const convolution = (name: string, shape: readonly [number, number, number, number]): void => {
    shapes.set(`${name}.weight`, shape);
    for (const part of ['weight', 'bias', 'running_mean', 'running_var']) {
      shapes.set(`${name}.norm.${part}`, [shape[0]]);
    }
  };
  convolution('backbone.stem.conv1', [backbone.stemWidth, 3, 7, 7]);
  for (const { name, blocks, inputs, width, outputs } of backbone.stages) {
    for (let index = 0; index < blocks; index += 1) {
      const block = `backbone.${name}.${index}`;
      if (index === 0) {
        convolution(`${block}.shortcut`, [outputs, inputs, 1, 1]);
      }
      convolution(`${block}.conv1`, [width, index === 0 ? inputs : outputs, 1, 1]);
      convolution(`${block}.conv2`, [width, width / backbone.groups, 3, 3]);
      convolution(`${block}.conv3`, [outputs, width, 1, 1]);
    }
  }
}

function addPixelDecoder(shapes: Shapes, { backbone, pixelDecoder }: M2fSettings): void {
  const { width, heads, layers, maskWidth } = pixelDecoder;
  const outputsOf = (stage: string): number => backbone.stages.find(({ name }) => name === stage)?.outputs ?? 0;
  const samples = heads * LEVELS.length * SAMPLING_POINTS;
  for (const [index, stage] of LEVELS.entries()) {
    addConvolution(shapes, `${PIXEL_DECODER}.input_proj.${index}.0`, [width, outputsOf(stage), 1, 1]);
    addNorm(shapes, `${PIXEL_DECODER}.input_proj.${index}.1`, width);
  }
  shapes.set(`${PIXEL_DECODER}.transformer.level_embed`, [LEVELS.length, width]);
  for (let index = 0; index < layers; index += 1) {
    const layer = `${PIXEL_DECODER}.transformer.encoder.layers.${index}`;
    addLinear(shapes, `${layer}.self_attn.sampling_offsets`, 2 * samples, width);
    addLinear(shapes, `${layer}.self_attn.attention_weights`, samples, width);
    addLinear(shapes, `${layer}.self_attn.value_proj`, width, width);
    addLinear(shapes, `${layer}.self_attn.output_proj`, width, width);
    addNorm(shapes, `${layer}.norm1`, width);
    addLinear(shapes, `${layer}.linear1`, ENCODER_FEED_FORWARD, width);
    addLinear(shapes, `${layer}.linear2`, width, ENCODER_FEED_FORWARD);
    addNorm(shapes, `${layer}.norm2`, width);
  }
  addConvolution(shapes, `${PIXEL_DECODER}.mask_features`, [maskWidth, width, 1, 1]);
  shapes.set(`${PIXEL_DECODER}.adapter_1.weight`, [width, outputsOf('res2'), 1, 1]);
  addNorm(shapes, `${PIXEL_DECODER}.adapter_1.norm`, width);
  shapes.set(`${PIXEL_DECODER}.layer_1.weight`, [width, width, 3, 3]);
  addNorm(shapes, `${PIXEL_DECODER}.layer_1.norm`, width);
}

function addPredictor(shapes: Shapes, { pixelDecoder, maskDecoder }: M2fSettings): void {
  const { width, layers, feedForward, queries, hasInputProjection } = maskDecoder;
  for (let index = 0; index < layers; index += 1) {
    for (const kind of ['self_attention_layers', 'cross_attention_layers'] as const) {
      const layer = `${PREDICTOR}.transformer_${kind}.${index}`;
      const attention = `${layer}.${kind === 'self_attention_layers' ? 'self_attn' : 'multihead_attn'}`;
      shapes.set(`${attention}.in_proj_weight`, [3 * width, width]);
      shapes.set(`${attention}.in_proj_bias`, [3 * width]);
      addLinear(shapes, `${attention}.out_proj`, width, width);
      addNorm(shapes, `${layer}.norm`, width);
    }
    const layer = `${PREDICTOR}.transformer_ffn_layers.${index}`;
    addLinear(shapes, `${layer}.linear1`, feedForward, width);
    addLinear(shapes, `${layer}.linear2`, width, feedForward);
    addNorm(shapes, `${layer}.norm`, width);
  }
  addNorm(shapes, `${PREDICTOR}.decoder_norm`, width);
  shapes.set(`${PREDICTOR}.query_feat.weight`, [queries, width]);
  shapes.set(`${PREDICTOR}.query_embed.weight`, [queries, width]);
  shapes.set(`${PREDICTOR}.level_embed.weight`, [LEVELS.length, width]);
  if (hasInputProjection) {
    for (const index of LEVELS.keys()) {
      addConvolution(shapes, `${PREDICTOR}.input_proj.${index}`, [width, pixelDecoder.width, 1, 1]);
    }
  }
  addLinear(shapes, `${PREDICTOR}.class_embed`, CLASS_LOGITS, width);
  for (let index = 0; index < MASK_EMBED_LAYERS; index += 1) {
    const outputs = index === MASK_EMBED_LAYERS - 1 ? pixelDecoder.maskWidth : width;
    addLinear(shapes, `${PREDICTOR}.mask_embed.layers.${index}`, outputs, width);
  }
}

function addConvolution(shapes: Shapes, name: string, shape: readonly [number, number, number, number]): void {
  shapes.set(`${name}.weight`, shape);
  shapes.set(`${name}.bias`, [shape[0]]);
}

function addLinear(shapes: Shapes, name: string, outputs: number, inputs: number): void {
  shapes.set(`${name}.weight`, [outputs, inputs]);
  shapes.set(`${name}.bias`, [outputs]);
}

function addNorm(shapes: Shapes, name: string, width: number): void {
  shapes.set(`${name}.weight`, [width]);
  shapes.set(`${name}.bias`, [width]);
}
