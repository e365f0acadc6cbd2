import type { Flake } from '../../proto/gen/maskterial/inference/v1/flake.ts';
import {
  ModelRole,
  type PredictResponse,
  Stage,
  type Summary,
  type UsedModel,
} from '../../proto/gen/maskterial/inference/v1/inference_service.ts';
import { encodeMask } from './mask-encoder.ts';

export const USED_MODEL: UsedModel = {
  role: ModelRole.MODEL_ROLE_CLASSIFICATION,
  model: 'CLS_GMM_Test',
  version: 3,
  manifestDigest: `sha256:${'ab'.repeat(32)}`,
  alias: 'production',
  family: 'GMM',
  layers: [
    { classIndex: 1, name: '1 layer' },
    { classIndex: 2, name: '2 layers' },
  ],
};

/** A rectangle of `width` x `height` pixels at (x, y) in an image of 120 x 80. */
export function flakeAt(
  index: number,
  classIndex: number,
  x: number,
  y: number,
  width: number,
  height: number,
  umPerPx?: number,
): Flake {
  const areaPx = width * height;
  return {
    index,
    classIndex,
    layerName: classIndex === 1 ? '1 layer' : `${classIndex} layers`,
    areaPx,
    areaUm2: umPerPx === undefined ? undefined : areaPx * umPerPx ** 2,
    centre: { x: x + (width - 1) / 2, y: y + (height - 1) / 2 },
    box: { x, y, width, height },
    maxSidePx: Math.max(width, height) - 1,
    minSidePx: Math.min(width, height) - 1,
    maxSideUm: umPerPx === undefined ? undefined : (Math.max(width, height) - 1) * umPerPx,
    minSideUm: umPerPx === undefined ? undefined : (Math.min(width, height) - 1) * umPerPx,
    meanContrast: { b: -0.1, g: -0.2, r: -0.3 },
    score: 1,
    falsePositiveProbability: 0,
    mask: encodeMask(120, 80, (column, row) => column >= x && column < x + width && row >= y && row < y + height),
    reference: undefined,
  };
}

export function summaryOf(flakes: readonly Flake[], umPerPx?: number): Summary {
  return {
    flakeCount: flakes.length,
    imageWidth: 120,
    imageHeight: 80,
    thresholds: { scoreThreshold: 0.3, minClassOccupancy: 0.5, sizeThreshold: 200 },
    umPerPx,
    models: [USED_MODEL],
    timings: [{ stage: Stage.STAGE_DECODE, duration: { seconds: 0n, nanos: 12_500_000 } }],
    background: { b: 100, g: 110, r: 120 },
    distinctColours: 42,
    requestId: 'request-1',
  };
}

/** The events of a whole answer. */
export function* eventsOf(flakes: readonly Flake[], umPerPx?: number): Generator<PredictResponse> {
  yield { event: { $case: 'accepted', value: { models: [USED_MODEL], requestId: 'request-1' } } };
  yield { event: { $case: 'progress', value: { stage: Stage.STAGE_DECODE } } };
  for (const flake of flakes) {
    yield { event: { $case: 'flake', value: flake } };
  }
  yield { event: { $case: 'summary', value: summaryOf(flakes, umPerPx) } };
}
