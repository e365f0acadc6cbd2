import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';
import { GRAPHENE, GRAPHENE_LAYER_NM, silicaIndex, siliconIndex } from '../../../clients/demo/optical-constants.ts';
import { type Complex, type Film, reflectance } from '../../../clients/demo/thin-film.ts';

function fresnelShare({ re, im }: Complex): number {
  return ((re - 1) ** 2 + im ** 2) / ((re + 1) ** 2 + im ** 2);
}

function onOxide(oxideNm: number, layers: number, wavelengthNm: number): number {
  const oxide: Film = { index: silicaIndex(wavelengthNm), thicknessNm: oxideNm };
  const graphene: Film = { index: GRAPHENE, thicknessNm: layers * GRAPHENE_LAYER_NM };
  return reflectance({ films: [graphene, oxide], substrate: siliconIndex(wavelengthNm) }, wavelengthNm);
}

/** (R0 - R1) / R0, as Blake et al. plot it. */
function contrast(oxideNm: number, wavelengthNm: number): number {
  return 1 - onOxide(oxideNm, 1, wavelengthNm) / onOxide(oxideNm, 0, wavelengthNm);
}

const complex = fc.record({ re: fc.double({ min: 1, max: 6, noNaN: true }), im: fc.double({ min: 0, max: 4, noNaN: true }) });

describe('reflectance', () => {
  it('is the Fresnel coefficient where there is no film, 0.36 for silicon in the green', () => {
    for (const wavelengthNm of [400, 455, 550, 633, 700]) {
      const silicon = siliconIndex(wavelengthNm);
      const share = reflectance({ films: [], substrate: silicon }, wavelengthNm);
      assert.ok(Math.abs(share - fresnelShare(silicon)) < 1e-15);
    }
    assert.ok(Math.abs(reflectance({ films: [], substrate: siliconIndex(550) }, 550) - 0.368) < 0.003);
  });

  it('vanishes for a quarter-wave film with the root of the substrate index, and returns at half a wave', () => {
    const substrate = { re: 2.25, im: 0 };
    const quarter = 600 / 4 / 1.5;
    const film = (thicknessNm: number) => ({ films: [{ index: { re: 1.5, im: 0 }, thicknessNm }], substrate });
    assert.ok(reflectance(film(quarter), 600) < 1e-30);
    assert.ok(Math.abs(reflectance(film(2 * quarter), 600) - fresnelShare(substrate)) < 1e-12);
  });

  it('agrees with the closed form for two films on a substrate', () => {
    // Equation 1 of Blake et al. 2007 with its n - ik, in the form of one fraction.
    const wavelengthNm = 550;
    const silica = silicaIndex(wavelengthNm).re;
    const silicon = siliconIndex(wavelengthNm);
    assert.ok(
      Math.abs(
        onOxide(300, 1, wavelengthNm) - blake({ n: 2.6, k: 1.3, d: 0.335 }, { n: silica, d: 300 }, silicon, wavelengthNm),
      ) < 1e-12,
    );
  });

  it('stays between 0 and 1 and does not care whether a film is one or two halves', () => {
    fc.assert(
      fc.property(complex, complex, fc.double({ min: 0, max: 500, noNaN: true }), (index, substrate, thicknessNm) => {
        const whole = reflectance({ films: [{ index, thicknessNm }], substrate }, 550);
        const half = { index, thicknessNm: thicknessNm / 2 };
        const halves = reflectance({ films: [half, half], substrate }, 550);
        assert.ok(whole >= 0 && whole <= 1 + 1e-12);
        assert.ok(Math.abs(whole - halves) < 1e-9);
      }),
      { seed: 1 },
    );
  });

  it('of a thick absorber is that of its surface', () => {
    const graphite = { films: [{ index: GRAPHENE, thicknessNm: 2000 }], substrate: siliconIndex(550) };
    assert.ok(Math.abs(reflectance(graphite, 550) - fresnelShare(GRAPHENE)) < 1e-9);
  });
});

describe('graphene on oxidised silicon', () => {
  it('shows a contrast of about 0.1 in the green on 300 nm and on 90 nm, as Blake et al. measured and computed', () => {
    const greens = [540, 550, 560, 570, 580];
    assert.ok(Math.max(...greens.map((nm) => contrast(300, nm))) > 0.09);
    assert.ok(Math.max(...greens.map((nm) => contrast(300, nm))) < 0.13);
    assert.ok(contrast(90, 550) > 0.09 && contrast(90, 550) < 0.15);
  });

  it('is all but invisible on 200 nm in white light', () => {
    assert.ok(Math.abs(contrast(200, 550)) < 0.02);
  });

  it('grows with each layer, by a little less each time', () => {
    const shares = [0, 1, 2, 3, 4].map((layers) => onOxide(90, layers, 550));
    const drops = shares.slice(1).map((share, index) => (shares[index] ?? 0) - share);
    assert.ok(drops.every((drop) => drop > 0));
    assert.deepEqual(
      drops.toSorted((a, b) => b - a),
      drops,
    );
  });
});

describe('optical constants', () => {
  it('are those published for silica and silicon', () => {
    assert.ok(Math.abs(silicaIndex(587.6).re - 1.4585) < 5e-5);
    assert.ok(Math.abs(silicaIndex(404.7).re - 1.4696) < 5e-5);
    assert.deepEqual(siliconIndex(500), { re: 4.294, im: 0.0442 });
    assert.deepEqual(siliconIndex(390), { re: 6.039, im: 0.445 });
    assert.ok(Math.abs(siliconIndex(445).re - (4.812 + 4.691) / 2) < 1e-12);
  });

  it('refuses a wavelength outside the table', () => {
    assert.throws(() => siliconIndex(389), RangeError);
    assert.throws(() => siliconIndex(701), RangeError);
  });
});

interface Absorber {
  readonly n: number;
  readonly k: number;
  readonly d: number;
}

/** Written out in a small complex arithmetic of pairs, with n - ik throughout. */
function blake(graphene: Absorber, silica: { n: number; d: number }, silicon: Complex, wavelengthNm: number): number {
  type C = [number, number];
  const add = (...terms: C[]): C => terms.reduce((a, b) => [a[0] + b[0], a[1] + b[1]], [0, 0]);
  const mul = (...terms: C[]): C => terms.reduce((a, b) => [a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]], [1, 0]);
  const div = (a: C, b: C): C => mul(a, [b[0] / (b[0] ** 2 + b[1] ** 2), -b[1] / (b[0] ** 2 + b[1] ** 2)]);
  const exp = (a: C): C => [Math.exp(a[0]) * Math.cos(a[1]), Math.exp(a[0]) * Math.sin(a[1])];
  const n0: C = [1, 0];
  const n1: C = [graphene.n, -graphene.k];
  const n2: C = [silica.n, 0];
  const n3: C = [silicon.re, -silicon.im];
  const r = (a: C, b: C): C => div(add(a, mul([-1, 0], b)), add(a, b));
  const phase = (index: C, d: number): C => mul(index, [(2 * Math.PI * d) / wavelengthNm, 0]);
  const p1 = phase(n1, graphene.d);
  const p2 = phase(n2, silica.d);
  const e = (sign1: number, sign2: number): C => exp(mul([0, 1], add(mul([sign1, 0], p1), mul([sign2, 0], p2))));
  const [r1, r2, r3] = [r(n0, n1), r(n1, n2), r(n2, n3)];
  const above = add(mul(r1, e(1, 1)), mul(r2, e(-1, 1)), mul(r3, e(-1, -1)), mul(r1, r2, r3, e(1, -1)));
  const below = add(e(1, 1), mul(r1, r2, e(-1, 1)), mul(r1, r3, e(-1, -1)), mul(r2, r3, e(1, -1)));
  const amplitude = div(above, below);
  return amplitude[0] ** 2 + amplitude[1] ** 2;
}
