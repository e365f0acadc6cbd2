import type { Complex } from './thin-film.ts';

/** Of one layer: half the c axis of graphite. */
export const GRAPHENE_LAYER_NM = 0.335;

/** Graphene and graphite, over the whole visible range: P. Blake et al., Appl. Phys. Lett. 91, 063124 (2007). */
export const GRAPHENE: Complex = { re: 2.6, im: 1.3 };

/** Residue of polymer tape; a typical value for acrylates, without dispersion. */
export const POLYMER: Complex = { re: 1.49, im: 0 };

/**
 * Fused silica, which thermal oxide is close to: n^2 - 1 = sum of B w^2 / (w^2 - C^2), w in micrometres;
 * I. H. Malitson, J. Opt. Soc. Am. 55, 1205 (1965). Valid from 210 to 3700 nm.
 */
export function silicaIndex(wavelengthNm: number): Complex {
  const square = (wavelengthNm / 1000) ** 2;
  const terms = SELLMEIER.map(([strength, resonanceUm]) => (strength * square) / (square - resonanceUm ** 2));
  return { re: Math.sqrt(terms.reduce((sum, term) => sum + term, 1)), im: 0 };
}

const SELLMEIER = [
  [0.6961663, 0.0684043],
  [0.4079426, 0.1162414],
  [0.8974794, 9.896161],
] as const;

/**
 * Crystalline silicon at 300 K, linear between the values of M. A. Green, Sol. Energy Mater. Sol. Cells 92, 1305 (2008).
 * @throws RangeError outside 390 to 700 nm.
 */
export function siliconIndex(wavelengthNm: number): Complex {
  const above = SILICON.findIndex(([wavelength]) => wavelength >= wavelengthNm);
  const right = SILICON[above];
  const left = SILICON[Math.max(0, above - 1)];
  if (left === undefined || right === undefined || wavelengthNm < left[0]) {
    throw new RangeError(`silicon's index is tabulated from 390 to 700 nm, not at ${wavelengthNm} nm`);
  }
  const share = right === left ? 0 : (wavelengthNm - left[0]) / (right[0] - left[0]);
  return { re: left[1] + share * (right[1] - left[1]), im: left[2] + share * (right[2] - left[2]) };
}

/** Wavelength in nm, n, k; as published to three decimals in n, k rounded to three significant digits. */
const SILICON: readonly (readonly [number, number, number])[] = [
  [390, 6.039, 0.445],
  [400, 5.613, 0.296],
  [410, 5.33, 0.227],
  [420, 5.119, 0.176],
  [430, 4.949, 0.138],
  [440, 4.812, 0.107],
  [450, 4.691, 0.0863],
  [460, 4.587, 0.0714],
  [470, 4.497, 0.0621],
  [480, 4.419, 0.055],
  [490, 4.35, 0.0491],
  [500, 4.294, 0.0442],
  [520, 4.193, 0.0364],
  [540, 4.112, 0.0303],
  [560, 4.045, 0.0258],
  [580, 3.988, 0.0225],
  [600, 3.94, 0.0199],
  [620, 3.898, 0.0174],
  [640, 3.861, 0.0154],
  [660, 3.828, 0.0135],
  [680, 3.798, 0.0119],
  [700, 3.772, 0.0105],
];
