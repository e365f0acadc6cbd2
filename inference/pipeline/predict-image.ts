import { invalid, isServiceError } from '../../proto/wire/errors.ts';
import type { Manifest } from '../../proto/wire/manifest.ts';
import { formatReference, type ModelReference } from '../../proto/wire/names.ts';
import type { EngineJob } from '../engine/engine-process.ts';
import type { EngineAnswer } from '../engine/protocol.ts';
import type { Priority } from '../engine/waiting-line.ts';
import type { Stage } from '../predict/stages.ts';
import type { Thresholds } from '../predict/thresholds.ts';
import type { Use } from '../rollout/acquire.ts';
import type { LoadedSet, ServableId, ServableSpec, VersionKey } from '../rollout/servable.ts';
import { EventQueue } from './event-queue.ts';

export type ModelRole = 'segmentation' | 'classification' | 'postprocessing';

/** In the order in which they are told. */
const ROLES: readonly ModelRole[] = ['segmentation', 'classification', 'postprocessing'];

/** What a role's model takes and gives. */
const CONTRACTS: Readonly<Record<ModelRole, Manifest['contract']>> = {
  segmentation: 'mask2former-segmenter.v1',
  classification: 'pixel-classifier.v1',
  postprocessing: 'shape-classifier.v1',
};

/** What a request names for each role: at least one of the first two. */
export type PipelineModels = { readonly [role in ModelRole]?: ModelReference | undefined };

export interface ImageRequest {
  readonly image: Uint8Array;
  readonly models: PipelineModels;
  readonly thresholds: Thresholds;
  readonly umPerPx: number | undefined;
  readonly includeReference: boolean;
  /** Unset is normal. */
  readonly priority?: Priority;
  /** When the caller stops waiting, in milliseconds of the epoch, if it said so. */
  readonly deadlineMs?: number | undefined;
}

/** A version that answers a request, and the name the request gave it. */
export interface UsedVersion {
  readonly role: ModelRole;
  readonly reference: ModelReference;
  readonly key: VersionKey;
  readonly family: string;
  /** The classes that it can answer, ascending. */
  readonly classes: Manifest['classes'];
}

export type ImageEvent =
  | { readonly kind: 'loading'; readonly key: VersionKey }
  | { readonly kind: 'accepted'; readonly models: readonly UsedVersion[] }
  | { readonly kind: 'stage'; readonly stage: Stage }
  | {
      readonly kind: 'answered';
      readonly models: readonly UsedVersion[];
      readonly answer: EngineAnswer;
      readonly queueMs: number;
    };

/** A loaded set that can run pipelines. */
export interface PipelineSet extends LoadedSet {
  readonly servables: readonly ServableSpec[];
  predict(job: EngineJob): Promise<EngineAnswer>;
}

export interface PredictImageDeps<G extends PipelineSet> {
  readonly acquire: (
    references: readonly ModelReference[],
    onLoading: (key: VersionKey) => void,
    signal: AbortSignal,
  ) => Promise<Use<G>>;
  readonly nowMs: () => number;
  /**
   * For callers that wait where the engines' queue is full: resolves after `delayMs`, then the same versions are asked again;
   * rejects with the signal's reason. Without it the image fails as QUEUE_FULL.
   */
  readonly waitForRoom?: (delayMs: number, signal: AbortSignal) => Promise<void>;
}

/** Where a full queue does not say when to come again. */
const DEFAULT_RETRY_DELAY_MS = 100;

/**
 * One image through a pipeline, told as events. The versions are fixed once: whatever is promoted meanwhile, this call ends on
 * the ones it began with.
 * @throws ServiceError as Rollout.acquire, the engines and predict do; invalid-argument INVALID_REQUEST for a model in a role that is not
 * its kind's.
 */
export async function* predictImage<G extends PipelineSet>(
  request: ImageRequest,
  deps: PredictImageDeps<G>,
  signal: AbortSignal,
): AsyncGenerator<ImageEvent> {
  const queue = new EventQueue<ImageEvent>();
  // Leaving the loop early, as a cancelled call does, aborts the work too.
  const leaving = new AbortController();
  const both = AbortSignal.any([signal, leaving.signal]);
  const work = run(request, deps, queue, both).then(
    () => queue.end(),
    (error: unknown) => queue.fail(error),
  );
  try {
    yield* queue;
  } finally {
    leaving.abort();
    await work;
  }
}

async function run<G extends PipelineSet>(
  request: ImageRequest,
  deps: PredictImageDeps<G>,
  queue: EventQueue<ImageEvent>,
  signal: AbortSignal,
): Promise<void> {
  const { acquire, nowMs, waitForRoom } = deps;
  const roles = ROLES.flatMap((role) => {
    const reference = request.models[role];
    return reference === undefined ? [] : [{ role, reference }];
  });
  const onLoading = (key: VersionKey): void => queue.push({ kind: 'loading', key });
  using use = await acquire(
    roles.map(({ reference }) => reference),
    onLoading,
    signal,
  );
  const used = roles.flatMap((each, index) => {
    const version = use.versions[index];
    return version === undefined ? [] : [{ ...each, ...version, manifest: specOf(use.set, version.id).manifest }];
  });
  checkKinds(used);
  const models = used.map(({ role, reference, key, manifest }) => ({
    role,
    reference,
    key,
    family: manifest.family,
    classes: manifest.classes,
  }));
  queue.push({ kind: 'accepted', models });
  const queuedMs = nowMs();
  let begunMs: number | undefined;
  const job = {
    image: request.image,
    models: Object.fromEntries(used.map(({ role, id }) => [role, id])),
    settings: {
      thresholds: request.thresholds,
      umPerPx: request.umPerPx,
      includeReference: request.includeReference,
      classNames: classNamesOf(used),
    },
    onStage: (stage: Stage) => {
      begunMs ??= nowMs();
      queue.push({ kind: 'stage', stage });
    },
    priority: request.priority,
    deadlineMs: request.deadlineMs,
    signal,
  };
  const answer = await (waitForRoom === undefined ? use.set.predict(job) : predictOnceAdmitted(use.set, job, waitForRoom));
  queue.push({ kind: 'answered', models, answer, queueMs: (begunMs ?? queuedMs) - queuedMs });
}

async function predictOnceAdmitted(
  set: PipelineSet,
  job: EngineJob,
  waitForRoom: (delayMs: number, signal: AbortSignal) => Promise<void>,
): Promise<EngineAnswer> {
  for (;;) {
    try {
      return await set.predict(job);
    } catch (error) {
      // An answer that would come too late does so all the more after a wait.
      if (!isServiceError(error, 'resource-exhausted') || error.reason !== 'QUEUE_FULL') {
        throw error;
      }
      await waitForRoom(error.retryDelayMs ?? DEFAULT_RETRY_DELAY_MS, job.signal);
    }
  }
}

/** The model that gives a flake its class names it: the classifier, where there is one. */
function classNamesOf(used: readonly { readonly role: ModelRole; readonly manifest: Manifest }[]): Map<number, string> {
  const { manifest } =
    used.find(({ role }) => role === 'classification') ?? used.find(({ role }) => role === 'segmentation') ?? {};
  return new Map(manifest?.classes.map(({ index, name }) => [index, name]));
}

/** @throws ServiceError invalid-argument INVALID_REQUEST listing each model that is not of its role's kind. */
function checkKinds(
  used: readonly { readonly role: ModelRole; readonly reference: ModelReference; readonly manifest: Manifest }[],
): void {
  const violations = used
    .filter(({ role, manifest }) => manifest.contract !== CONTRACTS[role])
    .map(({ role, reference, manifest }) => ({
      field: `options.pipeline.${role}_model`,
      description: `expected a ${role} model, found ${formatReference(reference)}, a ${manifest.kind} model of contract ${manifest.contract}`,
    }));
  if (violations.length > 0) {
    throw invalid(violations);
  }
}

function specOf(set: PipelineSet, id: ServableId): ServableSpec {
  const spec = set.servables.find((servable) => servable.id === id);
  if (spec === undefined) {
    throw new Error(`${id} is not in the set that was leased for it`);
  }
  return spec;
}
