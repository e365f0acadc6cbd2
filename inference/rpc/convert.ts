import type { Flake as FlakeMessage, ReferenceFlake as ReferenceMessage } from '../../proto/gen/maskterial/inference/v1/flake.ts';
import {
  ModelRole,
  type PredictOptions,
  type PredictResponse,
  Priority as PriorityCode,
  Stage as StageCode,
  type Summary,
  type UsedModel,
} from '../../proto/gen/maskterial/inference/v1/inference_service.ts';
import { toDuration } from '../../proto/wire/status.ts';
import type { EngineAnswer } from '../engine/protocol.ts';
import type { Priority } from '../engine/waiting-line.ts';
import type { UsedVersion } from '../pipeline/predict-image.ts';
import type { Flake } from '../predict/flake.ts';
import type { ReferenceFlake } from '../predict/reference-flake.ts';
import type { Stage } from '../predict/stages.ts';
import type { RequestedOptions, Thresholds } from '../predict/thresholds.ts';

const STAGES: Readonly<Record<Stage, StageCode>> = {
  decode: StageCode.STAGE_DECODE,
  colours: StageCode.STAGE_COLOURS,
  classify: StageCode.STAGE_CLASSIFY,
  'class-map': StageCode.STAGE_CLASS_MAP,
  segment: StageCode.STAGE_SEGMENT,
  vote: StageCode.STAGE_VOTE,
  geometry: StageCode.STAGE_GEOMETRY,
  postprocess: StageCode.STAGE_POSTPROCESS,
};

const ROLES: Readonly<Record<UsedVersion['role'], ModelRole>> = {
  segmentation: ModelRole.MODEL_ROLE_SEGMENTATION,
  classification: ModelRole.MODEL_ROLE_CLASSIFICATION,
  postprocessing: ModelRole.MODEL_ROLE_POSTPROCESSING,
};

/** The numbers of a request; unset stays undefined. */
export function toRequestedOptions(options: PredictOptions | undefined): RequestedOptions {
  const { thresholds, umPerPx } = options ?? {};
  return {
    scoreThreshold: thresholds?.scoreThreshold,
    minClassOccupancy: thresholds?.minClassOccupancy,
    sizeThreshold: thresholds?.sizeThreshold,
    umPerPx,
  };
}

/** A number of a later contract counts as normal. */
export function toPriority(options: PredictOptions | undefined): Priority {
  switch (options?.priority) {
    case PriorityCode.PRIORITY_HIGH:
      return 'high';
    case PriorityCode.PRIORITY_LOW:
      return 'low';
    default:
      return 'normal';
  }
}

export function toUsedModel({ role, reference, key, family, classes }: UsedVersion): UsedModel {
  const { selector } = reference;
  return {
    role: ROLES[role],
    model: key.model,
    version: key.version,
    manifestDigest: key.manifest.digest,
    alias: selector.kind === 'alias' ? selector.alias : selector.kind === 'latest' ? 'latest' : '',
    family,
    layers: classes.map(({ index, name }) => ({ classIndex: index, name })),
  };
}

export function progressEvent(stage: Stage): PredictResponse {
  return { event: { $case: 'progress', value: { stage: STAGES[stage] } } };
}

export function flakeEvent(flake: Flake, index: number): PredictResponse {
  return { event: { $case: 'flake', value: toFlakeMessage(flake, index) } };
}

export function toSummary(
  answer: EngineAnswer,
  request: {
    readonly thresholds: Thresholds;
    readonly umPerPx: number | undefined;
    readonly requestId: string;
    readonly queueMs: number;
  },
  models: UsedModel[],
): Summary {
  const { width, height, flakes, timings, background, distinctColours } = answer;
  const queue = { stage: StageCode.STAGE_QUEUE, duration: toDuration(request.queueMs) };
  return {
    flakeCount: flakes.length,
    imageWidth: width,
    imageHeight: height,
    thresholds: { ...request.thresholds },
    umPerPx: request.umPerPx,
    models,
    timings: [queue, ...timings.map(({ stage, durationMs }) => ({ stage: STAGES[stage], duration: toDuration(durationMs) }))],
    background: background && { ...background },
    distinctColours,
    requestId: request.requestId,
  };
}

function toFlakeMessage(flake: Flake, index: number): FlakeMessage {
  return {
    index,
    classIndex: flake.classIndex,
    layerName: flake.layerName,
    areaPx: flake.areaPx,
    areaUm2: flake.areaUm2,
    centre: { ...flake.centre },
    box: { ...flake.box },
    maxSidePx: flake.maxSidePx,
    minSidePx: flake.minSidePx,
    maxSideUm: flake.maxSideUm,
    minSideUm: flake.minSideUm,
    meanContrast: flake.meanContrast && { ...flake.meanContrast },
    score: flake.score,
    falsePositiveProbability: flake.falsePositiveProbability,
    mask: { ...flake.mask },
    reference: flake.reference && toReferenceMessage(flake.reference),
  };
}

function toReferenceMessage(reference: ReferenceFlake): ReferenceMessage {
  return {
    thickness: reference.thickness,
    size: BigInt(reference.size),
    meanContrast: [...reference.meanContrast],
    center: [...reference.center],
    maxSidelength: reference.maxSidelength,
    minSidelength: reference.minSidelength,
    aspectRatio: reference.aspectRatio,
    falsePositiveProbability: reference.falsePositiveProbability,
    entropy: reference.entropy,
    bbox: [...reference.bbox],
  };
}
