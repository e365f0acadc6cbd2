import { readFile } from 'node:fs/promises';
import { Engine } from '../../inference/engine/engine.ts';
import { OnnxClassifier } from '../../inference/engine/onnx-classifier.ts';
import { SharpDecoder } from '../../inference/engine/sharp-decoder.ts';
import { findBackground } from '../../inference/predict/background.ts';
import { paintClassMap } from '../../inference/predict/class-runs.ts';
import { ColourIndex } from '../../inference/predict/colours.ts';
import { contrastRows, contrastTable } from '../../inference/predict/contrast.ts';
import { predict } from '../../inference/predict/predict.ts';
import { DEFAULT_THRESHOLDS } from '../../inference/predict/thresholds.ts';
import type { ServableSpec } from '../../inference/rollout/servable.ts';

const MAX_PIXELS = 50_000_000;
/** The model on every pixel runs in pieces: its intermediate tensors would take gigabytes at once. */
const PIECE = 65_536;

/** The service's own pipeline, called in this process: what the service is compared with. */
export class InProcess {
  readonly #engine: Engine;
  readonly #decoder: SharpDecoder;
  readonly #classifier: OnnxClassifier;
  readonly #spec: ServableSpec;

  private constructor(engine: Engine, decoder: SharpDecoder, classifier: OnnxClassifier, spec: ServableSpec) {
    this.#engine = engine;
    this.#decoder = decoder;
    this.#classifier = classifier;
    this.#spec = spec;
  }

  static async start(spec: ServableSpec): Promise<InProcess> {
    const decoder = new SharpDecoder({ maxPixels: MAX_PIXELS });
    const engine = new Engine({ decoder }, { threads: 1 });
    const [failure] = await engine.load([spec]);
    if (failure !== undefined) {
      throw new Error(failure.error.message);
    }
    const { manifest, paths, label } = spec;
    const graph = manifest.artifacts.find(({ path }) => path === manifest.graph.path);
    const path = graph && paths[graph.digest];
    if (path === undefined) {
      throw new Error(`${label} has no graph`);
    }
    const source = { graph: await readFile(path), weights: [], checks: [], manifest, label };
    return new InProcess(engine, decoder, await OnnxClassifier.load(source, 1), spec);
  }

  predict(image: Uint8Array): Promise<unknown> {
    const settings = { thresholds: DEFAULT_THRESHOLDS, includeReference: false, classNames: new Map<number, string>() };
    return this.#engine.predict(
      image,
      { models: { classification: this.#spec.id } },
      settings,
      () => undefined,
      new AbortController().signal,
    );
  }

  /** The class of every pixel, row by row. */
  async classMap(image: Uint8Array): Promise<Uint8Array> {
    const deps = { decoder: this.#decoder, classifier: this.#classifier, colourIndex: new ColourIndex() };
    const settings = { thresholds: DEFAULT_THRESHOLDS, includeReference: false, classNames: new Map<number, string>() };
    const { classMasks, width, height } = await predict(image, deps, settings, () => undefined, new AbortController().signal);
    return paintClassMap(classMasks, width, height);
  }

  /** Contrasts, B G R, of the image's distinct colours and of all its pixels. */
  async contrastRows(bytes: Uint8Array): Promise<{ readonly ofColours: Float32Array; readonly ofPixels: Float32Array }> {
    const { rgb } = await this.#decoder.decode(bytes, new AbortController().signal);
    const index = new ColourIndex();
    const colours = index.collect(rgb);
    const table = contrastTable(findBackground(colours));
    const ofColours = contrastRows(colours, table);
    const ofPixels = new Float32Array(rgb.length);
    for (let at = 0; at < rgb.length; at += 3) {
      ofPixels[at] = table.b[rgb[at + 2] ?? 0] ?? 0;
      ofPixels[at + 1] = table.g[rgb[at + 1] ?? 0] ?? 0;
      ofPixels[at + 2] = table.r[rgb[at] ?? 0] ?? 0;
    }
    return { ofColours, ofPixels };
  }

  async classify(rows: Float32Array): Promise<void> {
    for (let at = 0; at < rows.length; at += PIECE * 3) {
      const piece = rows.subarray(at, at + PIECE * 3);
      await this.#classifier.classify(piece, piece.length / 3);
    }
  }
}
