import type { Flake } from '../../proto/gen/maskterial/inference/v1/flake.ts';
import {
  type Layer,
  ModelRole,
  type Summary,
  type UsedModel,
} from '../../proto/gen/maskterial/inference/v1/inference_service.ts';
import { ServiceError } from '../../proto/wire/errors.ts';
import type { Answer } from '../prediction.ts';
import { formatVersion } from './result-words.ts';

export interface FlakeFilterOptions {
  /** Classes by number or by name, whatever the case; undefined: all. */
  readonly layers: readonly string[] | undefined;
  /** Undefined: all. */
  readonly minAreaUm2: number | undefined;
}

/** An answer with the flakes that were asked for. */
export interface FilteredAnswer extends Answer {
  /** Undefined where nothing was asked for. */
  readonly leftOutCount: number | undefined;
}

/** Keeps the flakes that were asked for, with the numbers that they have in the answer. */
export function createFlakeFilter({ layers, minAreaUm2 }: FlakeFilterOptions): (answer: Answer) => FilteredAnswer {
  if (layers === undefined && minAreaUm2 === undefined) {
    return (answer) => ({ ...answer, leftOutCount: undefined });
  }
  return ({ flakes, summary }) => {
    checkKnown(layers ?? [], summary);
    const kept = flakes.filter((flake) => isOfLayer(flake, layers) && isLargeEnough(flake, minAreaUm2));
    return { flakes: kept, summary, leftOutCount: flakes.length - kept.length };
  };
}

function isOfLayer({ classIndex, layerName }: Flake, layers: readonly string[] | undefined): boolean {
  return layers === undefined || layers.some((layer) => names(layer, { classIndex, name: layerName }));
}

function isLargeEnough({ areaUm2 }: Flake, minAreaUm2: number | undefined): boolean {
  return minAreaUm2 === undefined || (areaUm2 ?? 0) >= minAreaUm2;
}

function names(text: string, { classIndex, name }: Layer): boolean {
  return text === String(classIndex) || text.toLowerCase() === name.trim().toLowerCase();
}

/** @throws ServiceError invalid-argument INVALID_REQUEST for a layer that no model knows: a slip would look like "nothing found". */
function checkKnown(wanted: readonly string[], { models }: Summary): void {
  const naming = namingModels(models);
  const known = naming.flatMap(({ layers }) => layers);
  const unknown = wanted.find((layer) => known.length > 0 && !known.some((other) => names(layer, other)));
  if (unknown !== undefined) {
    const told = naming.map(
      (model) =>
        `${formatVersion(model)} has ${model.layers.map(({ classIndex, name }) => `${classIndex} ("${name}")`).join(', ')}`,
    );
    throw new ServiceError('invalid-argument', 'INVALID_REQUEST', `--layers: no layer "${unknown}"; ${told.join('; ')}`);
  }
}

/** Those whose classes flakes can be of: beside a classifier a segmentation model's mean nothing. All, where no server said which is which. */
function namingModels(models: readonly UsedModel[]): readonly UsedModel[] {
  const ofRole = (role: ModelRole): readonly UsedModel[] => models.filter((model) => model.role === role);
  const found = [ModelRole.MODEL_ROLE_CLASSIFICATION, ModelRole.MODEL_ROLE_SEGMENTATION].map(ofRole);
  return found.find(({ length }) => length > 0) ?? models;
}
