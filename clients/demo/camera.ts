import type { Stack } from './thin-film.ts';
import { reflectance } from './thin-film.ts';

/** One value a colour channel, in the order of every MaskTerial image: B, G, R. */
export type Bgr = readonly [b: number, g: number, r: number];

interface Channel {
  readonly centreNm: number;
  /** Standard deviation of its Gaussian pass band. */
  readonly widthNm: number;
}

export interface Camera {
  readonly channels: readonly [b: Channel, g: Channel, r: Channel];
  readonly lampKelvin: number;
  /** Electrons that fill a pixel, digitised as 255. */
  readonly fullWellElectrons: number;
  readonly readNoiseElectrons: number;
  /** Standard deviation of the point spread, as a Gaussian. */
  readonly blurPx: number;
}

/**
 * A colour camera on a 20x objective: pass bands like those of common sensors, a halogen lamp, the full well and read noise of
 * a 1920 x 1200 CMOS sensor with 5.86 um pixels. Blur: 0.21 wavelength / NA (the Gaussian next to an Airy disk) at 550 nm and
 * NA 0.45 is 0.26 um, 0.67 pixels of 0.3844 um. Grey levels are proportional to light: no tone curve.
 */
export const DEMO_CAMERA: Camera = {
  channels: [
    { centreNm: 460, widthNm: 28 },
    { centreNm: 535, widthNm: 32 },
    { centreNm: 615, widthNm: 32 },
  ],
  lampKelvin: 3200,
  fullWellElectrons: 32_000,
  readNoiseElectrons: 7,
  blurPx: 0.67,
};

const FIRST_NM = 400;
const LAST_NM = 700;
const STEP_NM = 5;

/**
 * What each channel sees of a stack, as a share of what it sees of a perfect mirror (that division is the white balance):
 * the integral of lamp x reflectance x pass band over 400 to 700 nm. `stackAt` gives the stack with its indices at a wavelength.
 */
export function channelReflectance(camera: Camera, stackAt: (wavelengthNm: number) => Stack): Bgr {
  const seen = [0, 0, 0];
  const mirror = [0, 0, 0];
  for (let wavelengthNm = FIRST_NM; wavelengthNm <= LAST_NM; wavelengthNm += STEP_NM) {
    const share = reflectance(stackAt(wavelengthNm), wavelengthNm);
    const light = planck(wavelengthNm, camera.lampKelvin);
    for (const [index, { centreNm, widthNm }] of camera.channels.entries()) {
      const weight = light * Math.exp(-0.5 * ((wavelengthNm - centreNm) / widthNm) ** 2);
      seen[index] = (seen[index] ?? 0) + weight * share;
      mirror[index] = (mirror[index] ?? 0) + weight;
    }
  }
  return mapBgr((index) => (seen[index] ?? 0) / (mirror[index] ?? 1));
}

/** The variance, in squared grey levels, of one pixel around its mean `grey`: shot noise, read noise, rounding to integers. */
export function greyVariance({ fullWellElectrons, readNoiseElectrons }: Camera, grey: number): number {
  const greyPerElectron = 255 / fullWellElectrons;
  return photonVariance(greyPerElectron, readNoiseElectrons, grey) + 1 / 12;
}

/** As greyVariance, before rounding: what the exposure adds. */
export function analogueDeviation({ fullWellElectrons, readNoiseElectrons }: Camera, grey: number): number {
  return Math.sqrt(photonVariance(255 / fullWellElectrons, readNoiseElectrons, grey));
}

export function mapBgr(value: (index: 0 | 1 | 2) => number): Bgr {
  return [value(0), value(1), value(2)];
}

function photonVariance(greyPerElectron: number, readNoiseElectrons: number, grey: number): number {
  return Math.max(0, grey) * greyPerElectron + (readNoiseElectrons * greyPerElectron) ** 2;
}

/** Black-body spectral radiance, up to a factor. */
function planck(wavelengthNm: number, kelvin: number): number {
  const secondConstantNmKelvin = 1.438_777e7;
  return 1 / (wavelengthNm ** 5 * Math.expm1(secondConstantNmKelvin / (wavelengthNm * kelvin)));
}
