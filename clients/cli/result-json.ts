import type { Flake, ReferenceFlake } from '../../proto/gen/maskterial/inference/v1/flake.ts';
import { ModelRole, Stage, type Summary, type UsedModel } from '../../proto/gen/maskterial/inference/v1/inference_service.ts';
import type { Answer } from '../prediction.ts';
import { nameOf } from './enum-names.ts';

/** One image's answer as a plain object. Field names are those of the CSV and of the original's records: snake_case. */
export function resultJson(image: string, { flakes, summary }: Answer): Record<string, unknown> {
  const { thresholds } = summary;
  return {
    image,
    width: summary.imageWidth,
    height: summary.imageHeight,
    um_per_px: summary.umPerPx ?? null,
    models: summary.models.map(modelJson),
    thresholds: {
      score_threshold: thresholds?.scoreThreshold,
      min_class_occupancy: thresholds?.minClassOccupancy,
      size_threshold: thresholds?.sizeThreshold,
    },
    background: summary.background ?? null,
    distinct_colours: summary.distinctColours ?? null,
    timings_ms: timingsJson(summary),
    request_id: summary.requestId,
    flakes: flakes.map(flakeJson),
  };
}

function modelJson({ role, model, version, alias, family, manifestDigest, layers }: UsedModel): Record<string, unknown> {
  return {
    role: nameOf(ModelRole, 'MODEL_ROLE_', role),
    model,
    version,
    alias: alias === '' ? null : alias,
    family,
    manifest_digest: manifestDigest,
    layers: layers.map(({ classIndex, name }) => ({ class: classIndex, name })),
  };
}

function timingsJson({ timings }: Summary): Record<string, number> {
  return Object.fromEntries(
    timings.map(({ stage, duration }) => [
      nameOf(Stage, 'STAGE_', stage),
      Number(duration?.seconds ?? 0) * 1000 + (duration?.nanos ?? 0) / 1e6,
    ]),
  );
}

function flakeJson(flake: Flake): Record<string, unknown> {
  const { mask, reference } = flake;
  return {
    flake: flake.index,
    class: flake.classIndex,
    layer: flake.layerName,
    area_px: flake.areaPx,
    area_um2: flake.areaUm2 ?? null,
    centre: flake.centre,
    box: flake.box,
    max_side_px: flake.maxSidePx,
    min_side_px: flake.minSidePx,
    max_side_um: flake.maxSideUm ?? null,
    min_side_um: flake.minSideUm ?? null,
    mean_contrast: flake.meanContrast ?? null,
    score: flake.score,
    false_positive_probability: flake.falsePositiveProbability,
    ...(mask === undefined ? {} : { mask: { size: [mask.height, mask.width], counts: mask.counts } }),
    ...(reference === undefined ? {} : { reference: referenceJson(reference) }),
  };
}

/** With the original's own field names; its mask is the flake's. */
function referenceJson(reference: ReferenceFlake): Record<string, unknown> {
  return {
    thickness: reference.thickness,
    size: Number(reference.size),
    mean_contrast: reference.meanContrast,
    center: reference.center,
    max_sidelength: reference.maxSidelength,
    min_sidelength: reference.minSidelength,
    aspect_ratio: reference.aspectRatio,
    false_positive_probability: reference.falsePositiveProbability,
    entropy: reference.entropy,
    bbox: reference.bbox,
  };
}
