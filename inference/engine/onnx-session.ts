import { InferenceSession, Tensor } from 'onnxruntime-node';
import { ServiceError } from '../../proto/wire/errors.ts';
import { type CheckData, type CheckTensor, type GoldenCheck, isCheckData, typeOf } from '../../proto/wire/golden-check.ts';
import type { Manifest, TensorSpec } from '../../proto/wire/manifest.ts';
import { type RunTensors, runGoldenCheck } from './golden-check.ts';

/** What a version's session is made of; every byte was verified. */
export interface SessionSource {
  readonly graph: Uint8Array;
  /** Weights beside the graph, by the path that the graph and the manifest call them. */
  readonly weights: readonly { readonly path: string; readonly data: Uint8Array }[];
  readonly manifest: Manifest;
  /** What it has to reproduce before it is of any use. */
  readonly checks: readonly GoldenCheck[];
  /** `NAME:version`, for messages. */
  readonly label: string;
}

export interface SessionSettings {
  readonly threads: number;
  /** For graphs with large tensors of which few live at the same time: patterns would keep room for all of them. */
  readonly hasMemoryPattern?: boolean;
  /** Numbers too small to be normal are taken for 0. */
  readonly flushesDenormals?: boolean;
}

export interface InputTensor {
  readonly data: CheckData;
  readonly shape: readonly number[];
}

export interface OutputTensor {
  readonly data: unknown;
  readonly shape: readonly number[];
}

/** One ONNX Runtime session. Creating and running block the thread. */
export class OnnxSession {
  readonly label: string;
  readonly #session: InferenceSession;

  private constructor(session: InferenceSession, label: string) {
    this.#session = session;
    this.label = label;
  }

  /**
   * @throws ServiceError failed-precondition LOAD_FAILED when the graph does not load, or has not the tensors of its manifest;
   * GOLDEN_CHECK_FAILED when it does not reproduce its checks.
   */
  static async create(source: SessionSource, settings: SessionSettings): Promise<OnnxSession> {
    const { graph, weights, manifest, checks, label } = source;
    let session: InferenceSession;
    try {
      session = await InferenceSession.create(graph, {
        intraOpNumThreads: settings.threads,
        interOpNumThreads: 1,
        graphOptimizationLevel: 'all',
        logSeverityLevel: 3,
        enableMemPattern: settings.hasMemoryPattern ?? true,
        ...(settings.flushesDenormals === true && { extra: { session: { set_denormal_as_zero: '1' } } }),
        ...(weights.length > 0 && { externalData: [...weights] }),
      });
    } catch (cause) {
      throw loadFailed(label, 'ONNX Runtime cannot load the graph', cause);
    }
    checkTensors(session, manifest, label);
    const created = new OnnxSession(session, label);
    try {
      for (const check of checks) {
        await runGoldenCheck(check, (inputs, outputs) => created.#reproduce(inputs, outputs), label);
      }
    } catch (error) {
      await created.release();
      throw error;
    }
    return created;
  }

  /** @throws ServiceError failed-precondition LOAD_FAILED when `run` throws. */
  async warmUp(run: () => Promise<unknown>): Promise<void> {
    try {
      await run();
    } catch (cause) {
      throw loadFailed(this.label, 'the warm-up run failed', cause);
    }
  }

  /** The outputs of these names, of the graph's own types and shapes. */
  async run(
    inputs: Readonly<Record<string, InputTensor>>,
    outputs: readonly string[],
  ): Promise<ReadonlyMap<string, OutputTensor>> {
    const feeds = Object.fromEntries(Object.entries(inputs).map(([name, input]) => [name, tensorOf(input)]));
    const results = await this.#session.run(feeds, outputs);
    return new Map(Object.entries(results).map(([name, { data, dims }]) => [name, { data, shape: dims }]));
  }

  /** Gives its memory back; it is of no use any more. */
  release(): Promise<void> {
    return this.#session.release();
  }

  /** Outputs of types that no check can name are left out. */
  async #reproduce(inputs: readonly CheckTensor[], names: readonly string[]): ReturnType<RunTensors> {
    const outputs = await this.run(Object.fromEntries(inputs.map(({ name, ...input }) => [name, input])), names);
    return new Map(
      [...outputs].flatMap(([name, { data, shape }]) => (isCheckData(data) ? [[name, { data, shape }] as const] : [])),
    );
  }
}

function tensorOf({ data, shape }: InputTensor): Tensor {
  return new Tensor(typeOf(data), data, shape);
}

function loadFailed(label: string, what: string, cause: unknown): ServiceError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return new ServiceError('failed-precondition', 'LOAD_FAILED', `${label}: ${what}: ${why}`, { cause });
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
