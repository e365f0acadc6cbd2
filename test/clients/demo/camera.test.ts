import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { analogueDeviation, channelReflectance, DEMO_CAMERA, greyVariance } from '../../../clients/demo/camera.ts';
import { createChip } from '../../../clients/demo/chip.ts';

describe('channelReflectance', () => {
  it('is the reflectance itself where that is the same at every wavelength', () => {
    const glass = channelReflectance(DEMO_CAMERA, () => ({ films: [], substrate: { re: 1.5, im: 0 } }));
    for (const share of glass) {
      assert.ok(Math.abs(share - 0.04) < 1e-12);
    }
  });

  it('puts blue first and red last', () => {
    // A substrate that reflects below 500 nm only.
    const [b, g, r] = channelReflectance(DEMO_CAMERA, (nm) => ({ films: [], substrate: { re: nm < 500 ? 4 : 1, im: 0 } }));
    assert.ok(b > 0.25 && b > 3 * g && g > 3 * r, `${b} ${g} ${r}`);
  });
});

describe('the camera noise', () => {
  it('follows the square root of the light, over the read noise, plus a twelfth for rounding', () => {
    const electrons = (100 / 255) * 32_000;
    const deviation = (Math.sqrt(electrons + 49) * 255) / 32_000;
    assert.ok(Math.abs(analogueDeviation(DEMO_CAMERA, 100) - deviation) < 1e-12);
    assert.ok(Math.abs(greyVariance(DEMO_CAMERA, 100) - deviation ** 2 - 1 / 12) < 1e-12);
    assert.ok(Math.abs(analogueDeviation(DEMO_CAMERA, 0) - (7 * 255) / 32_000) < 1e-12);
  });
});

describe('createChip', () => {
  it('exposes the brightest channel to the grey level asked for, within the range of the background estimate', () => {
    const chip = createChip(DEMO_CAMERA, 90, 160);
    assert.ok(Math.abs(Math.max(...chip.substrate) - 160) < 1e-9);
    assert.ok(chip.substrate.every((grey) => grey >= 60 && grey <= 225));
  });

  it('makes 90 nm of oxide purple: blue over red over green', () => {
    const [b, g, r] = createChip(DEMO_CAMERA, 88, 156).substrate;
    assert.ok(b > r && r > g);
  });

  it('gives no contrast to nothing and darkens with each layer in each channel', () => {
    const chip = createChip(DEMO_CAMERA, 88, 156);
    assert.ok(chip.layerContrast(0).every((value) => Math.abs(value) < 1e-12));
    for (const layers of [1, 2, 3, 4]) {
      const [thinner, thicker] = [chip.layerContrast(layers - 1), chip.layerContrast(layers)];
      assert.ok(thicker.every((value, channel) => value < (thinner[channel] ?? 0)));
    }
  });

  it('predicts the contrasts that were measured on graphene on 90 nm of oxide', () => {
    // Mean contrasts b, g, r of 2DMatGMM's published graphene classes (MIT licence, J.-L. Uslu 2023): another camera and lamp,
    // hence the tolerance.
    const measured = [
      [-0.071, -0.14, -0.137],
      [-0.152, -0.264, -0.248],
      [-0.216, -0.368, -0.347],
      [-0.272, -0.465, -0.436],
    ];
    const chip = createChip(DEMO_CAMERA, 90, 156);
    for (const [index, expected] of measured.entries()) {
      const found = chip.layerContrast(index + 1);
      assert.ok(
        found.every((value, channel) => Math.abs(value - (expected[channel] ?? 0)) < 0.04),
        `${index + 1} layers: ${found.join(' ')}`,
      );
    }
  });
});
