import { readerOf, readWhole } from './bundle-source.ts';
import { classifierCheck } from './classifier-check.ts';
import { bundleFile, checkFiles } from './detect.ts';
import { addLinear, addNetwork, type EmbeddingNetwork, readNetwork } from './embedding-network.ts';
import { evaluateMlp } from './evaluate-classifier.ts';
import { type FamilyImporter, pixelClassifier } from './family-importer.ts';
import { MAX_SETTINGS_BYTES, parseNetworkSettings } from './network-settings.ts';
import { GraphBuilder } from './onnx-graph.ts';
import { trainedRange } from './sample-contrasts.ts';
import { TorchCheckpoint } from './torch-checkpoint.ts';

const FILES = ['meta_data.json', 'model.pth'];
/** Of logits in single precision, beside the largest number on the way. */
const TOLERANCE = { relative: 0, absolutePerMagnitude: 1e-5 };

/** MLP: AMM's residual network, with its classification layer as the head. */
export const mlpImporter: FamilyImporter = {
  name: 'mlp 1',
  kind: 'classification',
  async import(bundle, signal) {
    checkFiles(bundle, FILES);
    const settingsFile = bundleFile(bundle, 'meta_data.json');
    const settings = parseNetworkSettings(
      await readWhole(bundle.source, settingsFile, MAX_SETTINGS_BYTES, signal),
      settingsFile.path,
    );
    const checkpoint = await TorchCheckpoint.open(readerOf(bundle.source, bundleFile(bundle, 'model.pth'), signal), signal);
    const network = await readNetwork(checkpoint, settings);
    const classes = Array.from({ length: settings.classCount - 1 }, (_, index) => index + 1);
    const measure = { name: 'logit', count: settings.classCount } as const;
    const check = classifierCheck({
      evaluate: evaluateMlp(network),
      measure: 'logit',
      ranges: [trainedRange(network)],
      tolerance: TOLERANCE,
      cost: settings.embeddingSize ** 2 * settings.depth + settings.embeddingSize * settings.classCount,
    });
    return { ...pixelClassifier(buildMlpGraph(network), classes, measure), check, usedFiles: FILES };
  },
};

/**
 * class = first k with the largest logit, the background, 0, included: nothing is too unfamiliar for a class. Float32 throughout;
 * logits are [N, K] in the order of the classes from 0.
 */
export function buildMlpGraph(network: EmbeddingNetwork): Uint8Array {
  const graph = new GraphBuilder('mlp');
  const embedding = addNetwork(graph, graph.input('contrast', 'float32', ['N', 3]), network);
  const logits = addLinear(graph, embedding, 'last', network.last);
  graph.node('Transpose', [logits], { perm: { ints: [1, 0] } }, 'logit');
  graph.cast(graph.node('ArgMax', [logits], { axis: { int: 0 }, keepdims: { int: 0 } }), 'uint8', 'class');
  graph.output('class', 'uint8', ['N']);
  graph.output('logit', 'float32', ['N', network.last.outputs]);
  return graph.build('mlp 1', { family: 'MLP' });
}
