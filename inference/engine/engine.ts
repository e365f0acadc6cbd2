import { readFile } from 'node:fs/promises';
import { type Digest, refOf } from '../../proto/wire/digest.ts';
import { ServiceError } from '../../proto/wire/errors.ts';
import { checkArtifacts, parseCheck } from '../../proto/wire/golden-check.ts';
import { type ManifestArtifact, servingArtifacts, WEIGHTS_MEDIA_TYPE } from '../../proto/wire/manifest.ts';
import { ColourIndex } from '../predict/colours.ts';
import type { Decoder } from '../predict/decoder.ts';
import { type Prediction, type PredictSettings, predict } from '../predict/predict.ts';
import type { Segmenter } from '../predict/segmenter.ts';
import type { Stage } from '../predict/stages.ts';
import type { ServableId, ServableSpec } from '../rollout/servable.ts';
import { FRAME_PIXELS } from './heavy-model.ts';
import { OnnxClassifier } from './onnx-classifier.ts';
import { OnnxSegmenter } from './onnx-segmenter.ts';
import type { SessionSource } from './onnx-session.ts';
import { OnnxShapeClassifier } from './onnx-shape-classifier.ts';
import { type EngineLimits, type JobModels, type LoadFailure, toWireError } from './protocol.ts';
import { checkSupported } from './supported.ts';
import { warmUpPipeline } from './warm-up.ts';

/** A megabyte or two each. */
const MAX_BORROWED = 8;

/** Bytes on disk that are not what their digest says. */
class CorruptArtifact extends ServiceError {
  readonly digest: Digest;

  constructor(digest: Digest, message: string) {
    super('data-loss', 'DIGEST_MISMATCH', message);
    this.digest = digest;
  }
}

export interface EngineDeps {
  readonly decoder: Decoder;
  readonly collectGarbage?: () => void;
}

export interface EngineRun {
  readonly models: JobModels;
  readonly borrowed?: readonly ServableSpec[];
  /** In place of the engine's own. */
  readonly decoder?: Decoder;
}

/** Everything one engine process holds: the loaded models and the colour table. One prediction at a time. */
export class Engine {
  readonly #decoder: Decoder;
  readonly #collectGarbage: () => void;
  readonly #threads: number;
  readonly #warmUpPixels: number;
  readonly #classifiers = new Map<ServableId, OnnxClassifier>();
  readonly #segmenters = new Map<ServableId, Segmenter>();
  readonly #shapeClassifiers = new Map<ServableId, OnnxShapeClassifier>();
  readonly #colourIndex = new ColourIndex();
  readonly #borrowed = new Set<ServableId>();
  #isWarm = false;

  /** `collectGarbage` is called when buffers as large as a heavy model's were just done with; unset: V8 decides. */
  constructor(deps: EngineDeps, settings: Pick<EngineLimits, 'threads' | 'warmUpPixels'>) {
    this.#decoder = deps.decoder;
    this.#collectGarbage = deps.collectGarbage ?? (() => undefined);
    this.#threads = settings.threads;
    this.#warmUpPixels = settings.warmUpPixels ?? FRAME_PIXELS;
  }

  /** Loads and warms up each servable beside what is loaded; one that fails is reported and leaves the others alone. */
  async load(servables: readonly ServableSpec[]): Promise<LoadFailure[]> {
    const failures: LoadFailure[] = [];
    for (const servable of servables) {
      try {
        await this.#loadOne(servable);
      } catch (error) {
        failures.push({
          id: servable.id,
          error: toWireError(error),
          ...(error instanceof CorruptArtifact ? { corrupt: error.digest } : {}),
        });
      }
    }
    if (!this.#isWarm) {
      this.#isWarm = true;
      await warmUpPipeline(this.#colourIndex);
    }
    return failures;
  }

  /**
   * `borrowed`: servables of `models` that are loaded first where they are not, and given back once others were needed more lately.
   * @throws ServiceError as `predict` does, and what the load of a borrowed one does; internal when a servable was never loaded here.
   */
  async predict(
    image: Uint8Array,
    { models, borrowed = [], decoder = this.#decoder }: EngineRun,
    settings: PredictSettings,
    onStage: (stage: Stage) => void,
    signal: AbortSignal,
  ): Promise<Prediction> {
    for (const servable of borrowed) {
      await this.#borrow(servable);
    }
    const { classification, segmentation, postprocessing } = models;
    const deps = {
      decoder,
      classifier: classification && loaded(this.#classifiers, classification),
      segmenter: segmentation && loaded(this.#segmenters, segmentation),
      shapeClassifier: postprocessing && loaded(this.#shapeClassifiers, postprocessing),
      colourIndex: this.#colourIndex,
      hearEvents,
    };
    try {
      return await predict(image, deps, settings, onStage, signal);
    } finally {
      if (segmentation !== undefined) {
        this.#collectGarbage();
      }
    }
  }

  async #borrow(servable: ServableSpec): Promise<void> {
    const { id } = servable;
    if (!this.#borrowed.delete(id)) {
      await this.#loadOne(servable).catch(asNotReady);
    }
    // Inserted anew at each use: the first is the least recently used.
    this.#borrowed.add(id);
    const [oldest] = this.#borrowed;
    if (this.#borrowed.size > MAX_BORROWED && oldest !== undefined) {
      this.#borrowed.delete(oldest);
      await (this.#classifiers.get(oldest) ?? this.#shapeClassifiers.get(oldest))?.release();
      this.#classifiers.delete(oldest);
      this.#shapeClassifiers.delete(oldest);
    }
  }

  async #loadSegmenter(servable: ServableSpec): Promise<OnnxSegmenter> {
    // The weights are held by a call that has returned: before the run that takes most they can be let go of.
    const segmenter = await createSegmenter(servable, this.#threads);
    this.#collectGarbage();
    await segmenter.warmUp(this.#warmUpPixels);
    return segmenter;
  }

  async #loadOne(servable: ServableSpec): Promise<void> {
    const { manifest, label, id } = servable;
    checkSupported(manifest, label);
    if (manifest.contract === 'mask2former-segmenter.v1') {
      this.#segmenters.set(id, await this.#loadSegmenter(servable));
      return;
    }
    const source = await readSource(servable);
    if (manifest.contract === 'shape-classifier.v1') {
      this.#shapeClassifiers.set(id, await OnnxShapeClassifier.load(source, this.#threads));
    } else {
      this.#classifiers.set(id, await OnnxClassifier.load(source, this.#threads));
    }
  }
}

/** Its file went bad since it was verified: the caller may come again, and an engine that loads it anew tells the server. */
function asNotReady(error: unknown): never {
  if (error instanceof CorruptArtifact) {
    throw new ServiceError('unavailable', 'MODEL_NOT_READY', error.message, { cause: error });
  }
  throw error;
}

async function createSegmenter(servable: ServableSpec, threads: number): Promise<OnnxSegmenter> {
  return OnnxSegmenter.create(await readSource(servable), threads);
}

function loaded<T>(models: ReadonlyMap<ServableId, T>, id: ServableId): T {
  const model = models.get(id);
  if (model === undefined) {
    throw new Error(`servable ${id} is not loaded in this engine`);
  }
  return model;
}

/**
 * The graph and the weights beside it, from memory: what ONNX Runtime would itself read from a file could be other bytes than those
 * that were verified. They are held for the time of the load, when a model is far from its peak.
 */
async function readSource({ manifest, paths, label }: ServableSpec): Promise<SessionSource> {
  const read = async (artifact: ManifestArtifact | undefined): Promise<Uint8Array> => {
    const path = artifact && paths[artifact.digest];
    if (artifact === undefined || path === undefined) {
      throw new Error(`${label}: no file for ${artifact?.path ?? manifest.graph.path}`);
    }
    return readVerified(artifact, path, label);
  };
  const artifacts = servingArtifacts(manifest);
  const graph = await read(artifacts.find(({ path }) => path === manifest.graph.path));
  const weights = [];
  for (const artifact of artifacts.filter(({ mediaType }) => mediaType === WEIGHTS_MEDIA_TYPE)) {
    weights.push({ path: artifact.path, data: await read(artifact) });
  }
  const checks = [];
  for (const artifact of checkArtifacts(manifest)) {
    checks.push(parseCheck(await read(artifact), label));
  }
  return { graph, weights, checks, manifest, label };
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
