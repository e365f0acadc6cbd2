import { GraphBuilder } from '../onnx-graph.ts';
import { WeightFile } from '../weight-file.ts';
import { addBackbone } from './backbone.ts';
import { type Checkpoint, GraphContext } from './graph-context.ts';
import { addImageInput } from './image-input.ts';
import { addMaskDecoder } from './mask-decoder.ts';
import { addPixelDecoder } from './pixel-decoder.ts';
import { CLASS_LOGITS, type M2fSettings } from './settings.ts';

export interface M2fGraph {
  readonly graph: GraphBuilder;
  /** In the order in which they are published. The first is the backbone's, which all models tuned from the same start share. */
  readonly files: readonly WeightFile[];
}

/** The whole model as one graph for images of any size. Tensors are only asked for when the weight files are read. */
export function buildM2fGraph(settings: M2fSettings, checkpoint: Checkpoint): M2fGraph {
  const graph = new GraphBuilder('mask2former');
  const backbone = new WeightFile('backbone');
  const head = new WeightFile('head');
  const image = addImageInput(graph, settings);
  const features = addBackbone(new GraphContext(graph, backbone, checkpoint), image, settings.backbone);
  const context = new GraphContext(graph, head, checkpoint);
  addMaskDecoder(context, addPixelDecoder(context, features, settings), settings);
  graph.output('class_logits', 'float32', [settings.maskDecoder.queries, CLASS_LOGITS]);
  graph.output('mask_logits', 'float32', [settings.maskDecoder.queries, 'h', 'w']);
  return { graph, files: [backbone, head] };
}
