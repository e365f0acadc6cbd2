import { InferenceSession, Tensor } from 'onnxruntime-node';

export interface ClassifierOutput {
  readonly classes: Uint8Array;
  /** Or logits, [N, K]. */
  readonly distances: Float32Array;
  readonly distanceCount: number;
}

/** Runs a pixel classifier's graph on ONNX Runtime. `contrast` is [N, 3]. */
export async function runClassifier(
  graph: Uint8Array,
  contrast: Float32Array,
  measure: 'distance' | 'logit' = 'distance',
): Promise<ClassifierOutput> {
  const output = await runGraph(graph, 'contrast', contrast, [contrast.length / 3, 3]);
  const { class: classes, [measure]: distance } = output;
  if (!(classes?.data instanceof Uint8Array) || !(distance?.data instanceof Float32Array)) {
    throw new Error(`expected outputs class (uint8) and ${measure} (float32)`);
  }
  return { classes: classes.data, distances: distance.data, distanceCount: distance.dims[1] ?? 0 };
}

export async function runGraph(
  graph: Uint8Array,
  input: string,
  data: Float32Array | Float64Array,
  dims: readonly number[],
): Promise<InferenceSession.OnnxValueMapType> {
  const session = await InferenceSession.create(graph, { intraOpNumThreads: 1 });
  try {
    return await session.run({
      [input]: data instanceof Float32Array ? new Tensor('float32', data, dims) : new Tensor('float64', data, dims),
    });
  } finally {
    await session.release();
  }
}
