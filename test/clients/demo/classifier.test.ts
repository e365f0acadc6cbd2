import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Bgr, DEMO_CAMERA, mapBgr } from '../../../clients/demo/camera.ts';
import { createChip } from '../../../clients/demo/chip.ts';
import { CLASSIFIED_LAYERS, deriveClassifier, type GaussianClass } from '../../../clients/demo/classifier.ts';
import { DEMO_LIGHT } from '../../../clients/demo/exposure.ts';
import { createRandom } from '../../../clients/demo/random.ts';

const chip = createChip(DEMO_CAMERA, 88, 156);
const classes = Object.entries(deriveClassifier(chip, DEMO_LIGHT));

/** Mahalanobis distance by Cramer's rule: another way than the service's Cholesky factors. */
function distance({ contrast, covariance_matrix: [a, b, c] }: GaussianClass, point: Bgr): number {
  const offset: Bgr = [point[0] - contrast.b, point[1] - contrast.g, point[2] - contrast.r];
  const determinant = (p: Bgr, q: Bgr, r: Bgr): number =>
    p[0] * (q[1] * r[2] - q[2] * r[1]) - p[1] * (q[0] * r[2] - q[2] * r[0]) + p[2] * (q[0] * r[1] - q[1] * r[0]);
  const replaced = mapBgr((column) => {
    const row = (source: Bgr, value: number): Bgr => mapBgr((index) => (index === column ? value : source[index]));
    return determinant(row(a, offset[0]), row(b, offset[1]), row(c, offset[2])) / determinant(a, b, c);
  });
  return Math.sqrt(replaced[0] * offset[0] + replaced[1] * offset[1] + replaced[2] * offset[2]);
}

/** What MaskTerial makes of a contrast: the nearest class within five standard deviations, else 0. */
function classify(point: Bgr): number {
  const near = classes
    .map(([key, gaussian]) => ({ layers: Number(key), d: distance(gaussian, point) }))
    .sort((p, q) => p.d - q.d)[0];
  return near === undefined || near.d > 5 ? 0 : near.layers;
}

describe('deriveClassifier', () => {
  it('has one class a layer count, with symmetric positive covariances in b, g, r', () => {
    assert.deepEqual(
      classes.map(([key]) => key),
      ['1', '2', '3', '4'],
    );
    for (const [, { covariance_matrix: rows }] of classes) {
      for (const i of [0, 1, 2] as const) {
        for (const j of [0, 1, 2] as const) {
          assert.ok(Math.abs(rows[i][j] - rows[j][i]) < 1e-18);
          assert.ok(i === j ? rows[i][j] > 0 : rows[i][j] ** 2 < rows[i][i] * rows[j][j]);
        }
      }
    }
  });

  it('gives each layer count its own class and keeps the classes more than five deviations apart', () => {
    for (const layers of CLASSIFIED_LAYERS) {
      assert.equal(classify(chip.layerContrast(layers)), layers);
      for (const [key, gaussian] of classes) {
        const d = distance(gaussian, chip.layerContrast(layers));
        assert.ok(Number(key) === layers ? d < 1e-9 : d > 5, `${layers} layers, class ${key}: ${d}`);
      }
    }
  });

  it('leaves the bare chip, thicker graphite and tape residue without a class', () => {
    assert.equal(classify([0, 0, 0]), 0);
    for (const layers of [6, 8, 15, 45, 60, 90, 120, 200, 240]) {
      assert.equal(classify(chip.layerContrast(layers)), 0, `${layers} layers`);
    }
    for (const thicknessNm of [5, 20, 50]) {
      assert.equal(classify(chip.contrast('polymer', thicknessNm)), 0, `${thicknessNm} nm`);
    }
  });

  it('holds all but a few of the noisy pixels of its own layer, anywhere in the frame', () => {
    const random = createRandom(11);
    for (const layers of CLASSIFIED_LAYERS) {
      const contrast = chip.layerContrast(layers);
      let missed = 0;
      for (let draw = 0; draw < 4000; draw += 1) {
        const brightness = 1 + random.uniform(-0.008, 0.008);
        const point = mapBgr((channel) => {
          const grey = chip.substrate[channel] * (1 + contrast[channel]) * brightness;
          const deviation = (Math.sqrt((grey * 32_000) / 255 + 49) * 255) / 32_000;
          return Math.round(grey + deviation * random.normal()) / chip.substrate[channel] - 1;
        });
        missed += classify(point) === layers ? 0 : 1;
      }
      assert.ok(missed <= 8, `${layers} layers: ${missed} of 4000`);
    }
  });
});
