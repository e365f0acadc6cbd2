import {
  type ModelRole,
  ModelRole as Role,
  type Summary,
  type UsedModel,
} from '../../proto/gen/maskterial/inference/v1/inference_service.ts';
import type { Answer } from '../prediction.ts';
import { nameOf } from './enum-names.ts';
import { formatVersion } from './result-words.ts';

/** An image in COCO's "images", with the versions that answered for it. */
export interface CocoImage {
  readonly id: number;
  readonly file_name: string;
  readonly width: number;
  readonly height: number;
  readonly models: readonly string[];
}

/**
 * A flake in COCO's "annotations". The mask is run lengths in COCO's compressed form, as pycocotools reads and writes them; it is
 * one object and no crowd. `score`, `flake` and `area_um2` are additions that readers skip.
 */
export interface CocoAnnotation {
  readonly id: number;
  readonly image_id: number;
  readonly category_id: number;
  readonly segmentation: { readonly size: readonly [number, number]; readonly counts: string };
  /** x, y, width, height. */
  readonly bbox: readonly [number, number, number, number];
  /** Pixels of the mask. */
  readonly area: number;
  readonly iscrowd: 0;
  readonly score: number;
  readonly flake: number;
  readonly area_um2?: number;
}

export interface CocoCategory {
  /** The model's class; the layer count in MaskTerial's models. */
  readonly id: number;
  readonly name: string;
  readonly supercategory: 'flake';
}

export function cocoImage(id: number, path: string, { imageWidth, imageHeight, models }: Summary): CocoImage {
  return { id, file_name: path, width: imageWidth, height: imageHeight, models: models.map(formatVersion) };
}

/** Flakes without a mask have no place in COCO; the server sends none. Numbers go up from `firstId`. */
export function cocoAnnotations(firstId: number, imageId: number, { flakes }: Answer): CocoAnnotation[] {
  return flakes
    .flatMap(({ mask, box, ...flake }) => (mask === undefined || box === undefined ? [] : [{ mask, box, flake }]))
    .map(({ mask, box, flake }, index) => ({
      id: firstId + index,
      image_id: imageId,
      category_id: flake.classIndex,
      segmentation: { size: [mask.height, mask.width], counts: mask.counts },
      bbox: [box.x, box.y, box.width, box.height],
      area: flake.areaPx,
      iscrowd: 0,
      score: flake.score,
      flake: flake.index,
      ...(flake.areaUm2 === undefined ? {} : { area_um2: flake.areaUm2 }),
    }));
}

/** What the models of a run can answer, whether it was found or not: two exports of one model have equal categories. */
export class CocoCategories {
  readonly #names = new Map<number, string>();

  /** The classifier names a flake's class where there is one. */
  add({ flakes, summary }: Answer): void {
    const classifier = summary.models.find(({ role }) => role === Role.MODEL_ROLE_CLASSIFICATION) ?? summary.models[0];
    for (const { classIndex, name } of classifier?.layers ?? []) {
      this.#addName(classIndex, name);
    }
    for (const { classIndex, layerName } of flakes) {
      this.#addName(classIndex, layerName);
    }
  }

  list(): CocoCategory[] {
    return [...this.#names].toSorted(([a], [b]) => a - b).map(([id, name]) => ({ id, name, supercategory: 'flake' }));
  }

  /** The first name stays: an id with two names would be two categories. */
  #addName(classIndex: number, name: string): void {
    if (!this.#names.has(classIndex)) {
      this.#names.set(classIndex, name);
    }
  }
}

/** For "info": which model, which version, which bytes. */
export function cocoModel({ role, model, version, manifestDigest }: UsedModel): Record<string, unknown> {
  return { role: roleName(role), model, version, manifest_digest: manifestDigest };
}

function roleName(role: ModelRole): string {
  return nameOf(Role, 'MODEL_ROLE_', role);
}
