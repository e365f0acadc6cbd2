import { type Bgr, type Camera, channelReflectance, mapBgr } from './camera.ts';
import { GRAPHENE, GRAPHENE_LAYER_NM, POLYMER, siliconIndex, silicaIndex } from './optical-constants.ts';
import type { Film } from './thin-film.ts';

/** An oxidised silicon chip under one camera: what graphene on it looks like. */
export interface Chip {
  readonly camera: Camera;
  /** Grey levels of the bare chip. */
  readonly substrate: Bgr;
  /** Optical contrast I / I_substrate - 1 of a film. */
  contrast(material: keyof typeof MATERIALS, thicknessNm: number): Bgr;
  /** Optical contrast of that many layers of graphene. */
  layerContrast(layers: number): Bgr;
}

const MATERIALS = { graphite: GRAPHENE, polymer: POLYMER } as const;

/** `brightest`: the grey level to which the exposure brings the bare chip's brightest channel. */
export function createChip(camera: Camera, oxideNm: number, brightest: number): Chip {
  const see = (top: readonly Film[]): Bgr =>
    channelReflectance(camera, (wavelengthNm) => ({
      films: [...top, { index: silicaIndex(wavelengthNm), thicknessNm: oxideNm }],
      substrate: siliconIndex(wavelengthNm),
    }));
  const bare = see([]);
  const exposure = brightest / Math.max(...bare);
  const contrast: Chip['contrast'] = (material, thicknessNm) => {
    const covered = see([{ index: MATERIALS[material], thicknessNm }]);
    return mapBgr((index) => covered[index] / bare[index] - 1);
  };
  return {
    camera,
    substrate: mapBgr((index) => bare[index] * exposure),
    contrast,
    layerContrast: (layers) => contrast('graphite', layers * GRAPHENE_LAYER_NM),
  };
}
