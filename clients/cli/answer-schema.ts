import * as z from 'zod';
import type { Flake, ReferenceFlake } from '../../proto/gen/maskterial/inference/v1/flake.ts';
import { ModelRole, Stage, type Summary, type UsedModel } from '../../proto/gen/maskterial/inference/v1/inference_service.ts';
import { toDuration } from '../../proto/wire/status.ts';
import type { Answer } from '../prediction.ts';
import { valueOf } from './enum-names.ts';

const optional = z.number().nullable();
const pointSchema = z.object({ x: z.number(), y: z.number() });
const bgrSchema = z.object({ b: z.number(), g: z.number(), r: z.number() });

const referenceSchema = z.object({
  thickness: z.number(),
  size: z.int(),
  mean_contrast: z.array(z.number()),
  center: z.array(z.number()),
  max_sidelength: z.number(),
  min_sidelength: z.number(),
  aspect_ratio: z.number(),
  false_positive_probability: z.number(),
  entropy: z.number(),
  bbox: z.array(z.number()),
});

const flakeSchema = z.object({
  flake: z.int(),
  class: z.int(),
  layer: z.string(),
  area_px: z.int(),
  area_um2: optional,
  centre: pointSchema.optional(),
  box: pointSchema.extend({ width: z.int(), height: z.int() }).optional(),
  max_side_px: z.number(),
  min_side_px: z.number(),
  max_side_um: optional,
  min_side_um: optional,
  mean_contrast: bgrSchema.nullable(),
  score: z.number(),
  false_positive_probability: z.number(),
  mask: z.object({ size: z.tuple([z.int(), z.int()]), counts: z.string() }).optional(),
  reference: referenceSchema.optional(),
});

/** The object that `resultJson` makes. */
export const answerSchema = z.object({
  width: z.int(),
  height: z.int(),
  um_per_px: optional,
  models: z.array(
    z.object({
      role: enumSchema(ModelRole, 'MODEL_ROLE_'),
      model: z.string(),
      version: z.int(),
      alias: z.string().nullable(),
      family: z.string(),
      manifest_digest: z.string(),
      layers: z.array(z.object({ class: z.int(), name: z.string() })),
    }),
  ),
  thresholds: z.object({ score_threshold: z.number(), min_class_occupancy: z.number(), size_threshold: z.number() }),
  background: bgrSchema.nullable(),
  distinct_colours: optional,
  timings_ms: z.record(z.string(), z.number()),
  request_id: z.string(),
  flakes: z.array(flakeSchema),
});

/** The answer that such an object was made of, number by number. */
export function toAnswer(result: z.infer<typeof answerSchema>): Answer {
  return { flakes: result.flakes.map(toFlake), summary: toSummary(result) };
}

function toSummary(summary: z.infer<typeof answerSchema>): Summary {
  const { thresholds } = summary;
  return {
    flakeCount: summary.flakes.length,
    imageWidth: summary.width,
    imageHeight: summary.height,
    thresholds: {
      scoreThreshold: thresholds.score_threshold,
      minClassOccupancy: thresholds.min_class_occupancy,
      sizeThreshold: thresholds.size_threshold,
    },
    umPerPx: summary.um_per_px ?? undefined,
    models: summary.models.map(toUsedModel),
    timings: Object.entries(summary.timings_ms).map(([stage, ms]) => ({
      stage: valueOf(Stage, 'STAGE_', stage) ?? Stage.STAGE_UNSPECIFIED,
      duration: toDuration(ms),
    })),
    background: summary.background ?? undefined,
    distinctColours: summary.distinct_colours ?? undefined,
    requestId: summary.request_id,
  };
}

function toUsedModel(model: z.infer<typeof answerSchema>['models'][number]): UsedModel {
  return {
    role: model.role,
    model: model.model,
    version: model.version,
    manifestDigest: model.manifest_digest,
    alias: model.alias ?? '',
    family: model.family,
    layers: model.layers.map((layer) => ({ classIndex: layer.class, name: layer.name })),
  };
}

function toFlake(flake: z.infer<typeof flakeSchema>): Flake {
  const { mask, reference } = flake;
  return {
    index: flake.flake,
    classIndex: flake.class,
    layerName: flake.layer,
    areaPx: flake.area_px,
    areaUm2: flake.area_um2 ?? undefined,
    centre: flake.centre,
    box: flake.box,
    maxSidePx: flake.max_side_px,
    minSidePx: flake.min_side_px,
    maxSideUm: flake.max_side_um ?? undefined,
    minSideUm: flake.min_side_um ?? undefined,
    meanContrast: flake.mean_contrast ?? undefined,
    score: flake.score,
    falsePositiveProbability: flake.false_positive_probability,
    mask: mask && { height: mask.size[0], width: mask.size[1], counts: mask.counts },
    reference: reference && toReference(reference),
  };
}

function enumSchema<E extends number>(values: Readonly<Record<string, E>>, prefix: string) {
  return z.string().transform((name, context): E => {
    const value = valueOf(values, prefix, name);
    if (value === undefined) {
      context.addIssue({ code: 'custom', message: `unknown: "${name}"` });
      return z.NEVER;
    }
    return value;
  });
}

function toReference(reference: z.infer<typeof referenceSchema>): ReferenceFlake {
  return {
    thickness: reference.thickness,
    size: BigInt(reference.size),
    meanContrast: reference.mean_contrast,
    center: reference.center,
    maxSidelength: reference.max_sidelength,
    minSidelength: reference.min_sidelength,
    aspectRatio: reference.aspect_ratio,
    falsePositiveProbability: reference.false_positive_probability,
    entropy: reference.entropy,
    bbox: reference.bbox,
  };
}
