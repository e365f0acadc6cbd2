import { InferenceSession, Tensor } from 'onnxruntime-node';
import { ServiceError } from '../../proto/wire/errors.ts';
import type { Manifest, TensorSpec } from '../../proto/wire/manifest.ts';
import type { PixelClassifier } from '../predict/classifier.ts';

/** Colours of the warm-up run: the kernels' buffers reach their usual size. */
const WARM_UP_COLOURS = 32_768;

/** A `pixel-classifier.v1` graph in one ONNX Runtime session. Creating and running block the thread. */
export class OnnxClassifier implements PixelClassifier {
  readonly #session: InferenceSession;
  readonly #label: string;

  private constructor(session: InferenceSession, label: string) {
    this.#session = session;
    this.#label = label;
  }

  /** @throws ServiceError failed-precondition LOAD_FAILED when the graph does not load, or has not the tensors of its manifest. */
  static async load(graph: Uint8Array, manifest: Manifest, label: string, threads: number): Promise<OnnxClassifier> {
    let session: InferenceSession;
    try {
      session = await InferenceSession.create(graph, {
        intraOpNumThreads: threads,
        interOpNumThreads: 1,
        graphOptimizationLevel: 'all',
        logSeverityLevel: 3,
      });
    } catch (cause) {
      throw new ServiceError(
        'failed-precondition',
        'LOAD_FAILED',
        `${label}: ONNX Runtime cannot load the graph: ${textOf(cause)}`,
        { cause },
      );
    }
    checkTensors(session, manifest, label);
    const classifier = new OnnxClassifier(session, label);
    try {
      await classifier.classify(warmUpContrast(), WARM_UP_COLOURS);
    } catch (cause) {
      throw new ServiceError('failed-precondition', 'LOAD_FAILED', `${label}: the warm-up run failed: ${textOf(cause)}`, {
        cause,
      });
    }
    return classifier;
  }

  async classify(contrast: Float32Array, count: number): Promise<Uint8Array> {
    const results = await this.#session.run({ contrast: new Tensor('float32', contrast, [count, 3]) }, ['class']);
    const classes = results['class']?.data;
    if (!(classes instanceof Uint8Array) || classes.length !== count) {
      throw new ServiceError('internal', 'INTERNAL', `${this.#label}: output "class" is not uint8 [${count}]`);
    }
    return classes;
  }
}

function checkTensors(session: InferenceSession, manifest: Manifest, label: string): void {
  const missing = [
    ...unmatched('input', manifest.graph.inputs, session.inputMetadata),
    ...unmatched('output', manifest.graph.outputs, session.outputMetadata),
  ];
  if (missing.length > 0) {
    throw new ServiceError(
      'failed-precondition',
      'LOAD_FAILED',
      `${label}: the graph is not what its manifest says: ${missing.join('; ')}`,
    );
  }
}

function unmatched(what: string, specs: readonly TensorSpec[], found: readonly InferenceSession.ValueMetadata[]): string[] {
  const names = found.map((value) => (value.isTensor ? `${value.name} ${value.type}` : value.name));
  return specs
    .filter((spec) => !names.includes(`${spec.name} ${spec.type}`))
    .map((spec) => `${what} ${spec.name} ${spec.type} expected, found ${names.join(', ')}`);
}

/** A ramp through the contrasts of dark to bright pixels. */
function warmUpContrast(): Float32Array {
  return Float32Array.from({ length: WARM_UP_COLOURS * 3 }, (_, i) => (i / (WARM_UP_COLOURS * 3)) * 2 - 1);
}

function textOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
