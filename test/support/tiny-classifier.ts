import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GraphBuilder } from '../../clients/import/onnx-graph.ts';
import type { ElementType } from '../../clients/import/onnx-values.ts';
import type { ServableId, ServableSpec } from '../../inference/rollout/servable.ts';
import { refOf } from '../../proto/wire/digest.ts';
import { encodeManifest, type Manifest, parseManifest } from '../../proto/wire/manifest.ts';
import { blobOf } from './fake-blob-source.ts';

interface GraphParts {
  readonly input?: string;
  readonly output?: string;
  readonly classType?: ElementType;
  /** Columns of the input. */
  readonly width?: number;
}

/** A `pixel-classifier.v1` graph: class 1 where the green contrast is below -0.1. */
export function tinyGraph({ input = 'contrast', output = 'class', classType = 'uint8', width = 3 }: GraphParts = {}): Uint8Array {
  const graph = new GraphBuilder('tiny');
  const contrast = graph.input(input, 'float32', ['N', width]);
  const column = graph.constant('column', [], BigInt64Array.of(1n));
  const limit = graph.constant('limit', [], Float32Array.of(-0.1));
  const green = graph.node('Gather', [contrast, column], { axis: { int: 1 } });
  graph.cast(graph.node('Less', [green, limit]), classType, output);
  graph.output(output, classType, ['N']);
  return graph.build('test', {});
}

/** A servable whose graph lies in `folder`. `declared` are the tensors that its manifest states. */
export async function tinyServable(
  folder: string,
  label: string,
  graph: Uint8Array = tinyGraph(),
  declared: { readonly input?: string; readonly output?: string; readonly type?: 'uint8' | 'int64' } = {},
): Promise<ServableSpec> {
  const blob = blobOf(graph);
  const path = join(folder, `${label.replaceAll(/\W/g, '-')}.onnx`);
  await writeFile(path, graph);
  const manifest: Manifest = parseManifest(
    encodeManifest({
      schemaVersion: 1,
      kind: 'classification',
      family: 'GMM',
      contract: 'pixel-classifier.v1',
      graph: {
        path: 'model.onnx',
        inputs: [{ name: declared.input ?? 'contrast', type: 'float32', shape: ['N', 3] }],
        outputs: [{ name: declared.output ?? 'class', type: declared.type ?? 'uint8', shape: ['N'] }],
      },
      classes: [{ index: 1, name: '1 layer' }],
      artifacts: [{ path: 'model.onnx', role: 'serving', mediaType: 'application/vnd.onnx', ...blob, chunks: [...blob.chunks] }],
      lineage: { sourceFiles: [], metrics: {} },
    }),
  );
  return { id: `${label}@${refOf(graph).digest}` as ServableId, label, manifest, paths: { [blob.digest]: path } };
}
