import { type Bgr, greyVariance, mapBgr } from './camera.ts';
import type { Chip } from './chip.ts';
import { brightnessAt, type Light } from './exposure.ts';

/** One class of a GMM bundle: `contrast_dict.json` of the MaskTerial trainer. Covariance rows and columns are b, g, r. */
export interface GaussianClass {
  readonly contrast: { readonly b: number; readonly g: number; readonly r: number };
  readonly covariance_matrix: readonly [Bgr, Bgr, Bgr];
}

export const CLASSIFIED_LAYERS: readonly number[] = [1, 2, 3, 4];

/**
 * A Gaussian mixture classifier from optics alone; no picture is looked at. A class's mean is its optical contrast C. Its
 * covariance adds the camera's noise, var(grey) / substrate^2 in each channel by itself, and the uneven light, which moves all
 * channels together: var(light) (1 + C_i) (1 + C_j).
 */
export function deriveClassifier(chip: Chip, light: Light): Readonly<Record<string, GaussianClass>> {
  const lightVariance = brightnessVariance(light);
  return Object.fromEntries(
    CLASSIFIED_LAYERS.map((layers) => [String(layers), deriveClass(chip, chip.layerContrast(layers), lightVariance)]),
  );
}

function deriveClass({ camera, substrate }: Chip, contrast: Bgr, lightVariance: number): GaussianClass {
  const covariance = mapRows((row) =>
    mapBgr((column) => {
      const shared = lightVariance * (1 + contrast[row]) * (1 + contrast[column]);
      const own = row === column ? greyVariance(camera, substrate[row] * (1 + contrast[row])) / substrate[row] ** 2 : 0;
      return shared + own;
    }),
  );
  return { contrast: { b: contrast[0], g: contrast[1], r: contrast[2] }, covariance_matrix: covariance };
}

function mapRows(row: (index: 0 | 1 | 2) => Bgr): readonly [Bgr, Bgr, Bgr] {
  return [row(0), row(1), row(2)];
}

/** Over the frame, about its mean. */
function brightnessVariance(light: Light): number {
  const steps = 40;
  let sum = 0;
  let squares = 0;
  for (let row = 0; row <= steps; row += 1) {
    for (let column = 0; column <= steps; column += 1) {
      const value = brightnessAt(light, (2 * column) / steps - 1, (2 * row) / steps - 1) - 1;
      sum += value;
      squares += value * value;
    }
  }
  const count = (steps + 1) ** 2;
  return squares / count - (sum / count) ** 2;
}
