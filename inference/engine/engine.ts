import { readFile } from 'node:fs/promises';
import { type Digest, refOf } from '../../proto/wire/digest.ts';
import { ServiceError } from '../../proto/wire/errors.ts';
import type { ManifestArtifact } from '../../proto/wire/manifest.ts';
import type { PixelClassifier } from '../predict/classifier.ts';
import { ColourIndex } from '../predict/colours.ts';
import type { Decoder } from '../predict/decoder.ts';
import { type Prediction, type PredictSettings, predict, type Stage } from '../predict/predict.ts';
import { checkSupported } from './supported.ts';
import { OnnxClassifier } from './onnx-classifier.ts';
import type { ServableId, ServableSpec } from '../rollout/servable.ts';
import { type LoadFailure, toWireError } from './protocol.ts';
import { warmUpPipeline } from './warm-up.ts';

/** Bytes on disk that are not what their digest says. */
class CorruptArtifact extends ServiceError {
  readonly digest: Digest;

  constructor(digest: Digest, message: string) {
    super('data-loss', 'DIGEST_MISMATCH', message);
    this.digest = digest;
  }
}

/** Everything one engine process holds: the loaded classifiers and the colour table. One prediction at a time. */
export class Engine {
  readonly #decoder: Decoder;
  readonly #threads: number;
  readonly #classifiers = new Map<ServableId, PixelClassifier>();
  readonly #colourIndex = new ColourIndex();

  constructor(deps: { readonly decoder: Decoder }, settings: { readonly threads: number }) {
    this.#decoder = deps.decoder;
    this.#threads = settings.threads;
  }

  /** Loads and warms up each servable; one that fails is reported and leaves the others alone. */
  async load(servables: readonly ServableSpec[]): Promise<LoadFailure[]> {
    const failures: LoadFailure[] = [];
    for (const servable of servables) {
      try {
        this.#classifiers.set(servable.id, await this.#loadOne(servable));
      } catch (error) {
        failures.push({
          id: servable.id,
          error: toWireError(error),
          ...(error instanceof CorruptArtifact ? { corrupt: error.digest } : {}),
        });
      }
    }
    await warmUpPipeline(this.#colourIndex);
    return failures;
  }

  /** @throws ServiceError as `predict` does; internal when the servable was never loaded here. */
  async predict(
    image: Uint8Array,
    servable: ServableId,
    settings: PredictSettings,
    onStage: (stage: Stage) => void,
    signal: AbortSignal,
  ): Promise<Prediction> {
    const classifier = this.#classifiers.get(servable);
    if (classifier === undefined) {
      throw new Error(`servable ${servable} is not loaded in this engine`);
    }
    const deps = { decoder: this.#decoder, classifier, colourIndex: this.#colourIndex, hearEvents };
    return predict(image, deps, settings, onStage, signal);
  }

  async #loadOne({ manifest, paths, label }: ServableSpec): Promise<PixelClassifier> {
    checkSupported(manifest, label);
    const graph = manifest.artifacts.find((artifact) => artifact.path === manifest.graph.path);
    const path = graph && paths[graph.digest];
    if (graph === undefined || path === undefined) {
      throw new Error(`${label}: no file for ${manifest.graph.path}`);
    }
    return OnnxClassifier.load(await readVerified(graph, path, label), manifest, label, this.#threads);
  }
}

/** The very bytes that were verified are the ones loaded: a file replaced in between cannot slip in. */
async function readVerified(artifact: ManifestArtifact, path: string, label: string): Promise<Uint8Array> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    throw new ServiceError('failed-precondition', 'LOAD_FAILED', `${label}: cannot read ${artifact.path} from the cache`, {
      cause,
    });
  }
  const found = refOf(bytes);
  if (found.digest !== artifact.digest || found.sizeBytes !== artifact.sizeBytes) {
    throw new CorruptArtifact(
      artifact.digest,
      `${label}: ${artifact.path} in the cache: expected ${artifact.digest} of ${artifact.sizeBytes} bytes, found ${found.digest} of ${found.sizeBytes}`,
    );
  }
  return bytes;
}

/** One turn of the event loop, whole: the first callback may still belong to the turn whose messages were read already. */
async function hearEvents(): Promise<void> {
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
}
