import { InferenceSession, Tensor } from 'onnxruntime-node';
import type { ImportedBundle } from '../../../clients/import/import-bundle.ts';
import { ModelProto, ValueInfoProto } from '../../../proto/gen/onnx/onnx.ts';
import { collect } from '../bundle-files.ts';

/** What a session of this model is to be created with; ARCHITECTURE.md says what each of them does. */
export const M2F_SESSION_OPTIONS = {
  intraOpNumThreads: 2,
  interOpNumThreads: 1,
  graphOptimizationLevel: 'all',
  enableMemPattern: false,
  logSeverityLevel: 3,
  extra: { session: { set_denormal_as_zero: '1' } },
} as const satisfies InferenceSession.SessionOptions;

export interface M2fOutput {
  readonly classLogits: Float32Array;
  readonly maskLogits: Float32Array;
  /** Of `maskLogits`: queries, height, width. */
  readonly size: readonly number[];
  /** The probed values, by name. */
  readonly probes: ReadonlyMap<string, Float32Array>;
}

export interface Image {
  readonly height: number;
  readonly width: number;
  readonly data: Uint8Array;
}

/**
 * Runs an imported model on images one after the other, weights from memory. `probes` names values inside the graph to see too.
 * On one thread: other tests run beside this one, and two threads that wait for each other by spinning would take turns with them.
 */
export async function runM2f(
  bundle: Pick<ImportedBundle, 'files'>,
  images: readonly Image[],
  probes: readonly string[] = [],
): Promise<M2fOutput[]> {
  const [graph, ...others] = bundle.files;
  const weights = others.filter(({ path }) => path !== 'check.json');
  if (graph === undefined) throw new Error('nothing was imported');
  const externalData = [];
  for (const { path, read } of weights) {
    externalData.push({ path, data: await collect(read()) });
  }
  const session = await InferenceSession.create(withOutputs(await collect(graph.read()), probes), {
    ...M2F_SESSION_OPTIONS,
    intraOpNumThreads: 1,
    externalData,
  });
  try {
    const outputs: M2fOutput[] = [];
    for (const image of images) {
      outputs.push(await runSession(session, image, probes));
    }
    return outputs;
  } finally {
    await session.release();
  }
}

export async function runSession(
  session: InferenceSession,
  { height, width, data }: Image,
  probes: readonly string[] = [],
): Promise<M2fOutput> {
  const results = await session.run({ image: new Tensor('uint8', data, [height, width, 3]) });
  const floats = (name: string): Float32Array => {
    const found = results[name]?.data;
    if (!(found instanceof Float32Array)) throw new Error(`${name} is not float32`);
    return found;
  };
  return {
    classLogits: floats('class_logits'),
    maskLogits: floats('mask_logits'),
    size: results['mask_logits']?.dims ?? [],
    probes: new Map(probes.map((name) => [name, floats(name)])),
  };
}

/** The graph with these values of its inside among the outputs. */
function withOutputs(graph: Buffer, names: readonly string[]): Buffer {
  const model = ModelProto.decode(graph);
  for (const name of names) {
    const type = { value: { $case: 'tensorType' as const, value: { elemType: 1, shape: undefined } } };
    model.graph?.output.push(ValueInfoProto.fromPartial({ name, type }));
  }
  return Buffer.from(ModelProto.encode(model).finish());
}
