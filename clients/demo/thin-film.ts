/** A complex number; refractive indices are n + ik with k >= 0 where light is absorbed. (Blake et al. write n - ik.) */
export interface Complex {
  readonly re: number;
  readonly im: number;
}

export interface Film {
  readonly index: Complex;
  readonly thicknessNm: number;
}

/** Films from the air side down, on a substrate so thick that nothing returns from below. */
export interface Stack {
  readonly films: readonly Film[];
  readonly substrate: Complex;
}

const AIR: Complex = { re: 1, im: 0 };

/**
 * The share of light, 0 to 1, that a stack in air reflects at normal incidence.
 *
 * Going up from the substrate, the amplitude below each interface is folded into it: with the Fresnel coefficient
 * f = (a - b) / (a + b) of the interface and what the film under it returns, p = r exp(2 i k d), k = 2 pi n / wavelength,
 * the sum over all round trips is (f + p) / (1 + f p). M. Born and E. Wolf, Principles of Optics, section 1.6.4; for graphene on
 * SiO2 on Si it is equation 1 of P. Blake et al., Making graphene visible, Appl. Phys. Lett. 91, 063124 (2007).
 * Normal incidence is the usual approximation for a 20x objective: at its numerical aperture of about 0.45 the phase in the
 * oxide changes by at most 5 %.
 */
export function reflectance({ films, substrate }: Stack, wavelengthNm: number): number {
  let below = substrate;
  let returned: Complex = { re: 0, im: 0 };
  for (const film of films.toReversed()) {
    const amplitude = foldInterface(fresnel(film.index, below), returned);
    returned = multiply(amplitude, roundTrip(film, wavelengthNm));
    below = film.index;
  }
  const { re, im } = foldInterface(fresnel(AIR, below), returned);
  return re * re + im * im;
}

function foldInterface(interfaceAmplitude: Complex, returned: Complex): Complex {
  const trips = multiply(interfaceAmplitude, returned);
  const sum = { re: interfaceAmplitude.re + returned.re, im: interfaceAmplitude.im + returned.im };
  return divide(sum, { re: 1 + trips.re, im: trips.im });
}

function fresnel(above: Complex, below: Complex): Complex {
  return divide({ re: above.re - below.re, im: above.im - below.im }, { re: above.re + below.re, im: above.im + below.im });
}

/** exp(2 i k d): phase and absorption once down and up through the film. */
function roundTrip({ index, thicknessNm }: Film, wavelengthNm: number): Complex {
  const scale = (4 * Math.PI * thicknessNm) / wavelengthNm;
  const magnitude = Math.exp(-scale * index.im);
  return { re: magnitude * Math.cos(scale * index.re), im: magnitude * Math.sin(scale * index.re) };
}

function multiply(a: Complex, b: Complex): Complex {
  return { re: a.re * b.re - a.im * b.im, im: a.re * b.im + a.im * b.re };
}

function divide(a: Complex, b: Complex): Complex {
  const norm = b.re * b.re + b.im * b.im;
  return { re: (a.re * b.re + a.im * b.im) / norm, im: (a.im * b.re - a.re * b.im) / norm };
}
