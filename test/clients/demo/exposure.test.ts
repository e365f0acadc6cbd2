import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import sharp from 'sharp';
import { DEMO_CAMERA, greyVariance } from '../../../clients/demo/camera.ts';
import { createChip } from '../../../clients/demo/chip.ts';
import { brightnessAt, DEMO_LIGHT, expose, type Light } from '../../../clients/demo/exposure.ts';
import { encodeMicrograph } from '../../../clients/demo/micrograph.ts';
import { createRandom } from '../../../clients/demo/random.ts';
import type { Sample, Terrace } from '../../../clients/demo/sample.ts';

const chip = createChip(DEMO_CAMERA, 88, 156);
const EVEN: Light = { slopeX: 0, slopeY: 0, falloff: 0 };
const SIZE = 120;

/** A bare chip whose left half carries `layers`. */
function half(layers: number): Sample {
  const terraceMap = Uint8Array.from({ length: SIZE * SIZE }, (_, pixel) => (pixel % SIZE < SIZE / 2 ? 1 : 0));
  const terrace: Terrace = { number: 1, layers, areaPx: (SIZE * SIZE) / 2, centre: { x: SIZE / 4, y: SIZE / 2 } };
  return { width: SIZE, height: SIZE, terraceMap, terraces: [terrace], specks: [] };
}

/** Mean and variance of one channel (0 = blue) over columns [from, to). */
function statistics(rgb: Uint8Array, channel: number, from: number, to: number): { mean: number; variance: number } {
  const values: number[] = [];
  for (let pixel = 0; pixel < SIZE * SIZE; pixel += 1) {
    if (pixel % SIZE >= from && pixel % SIZE < to) {
      values.push(rgb[pixel * 3 + 2 - channel] ?? 0);
    }
  }
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return { mean, variance: values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1) };
}

describe('expose', () => {
  it('shows the optical contrast in each channel, in the order R, G, B', () => {
    const { rgb } = expose(half(2), chip, EVEN, createRandom(1));
    for (const channel of [0, 1, 2] as const) {
      const flake = statistics(rgb, channel, 0, SIZE / 2 - 4).mean;
      const bare = statistics(rgb, channel, SIZE / 2 + 4, SIZE).mean;
      assert.ok(Math.abs(bare - chip.substrate[channel]) < 0.1);
      assert.ok(Math.abs(flake / bare - 1 - chip.layerContrast(2)[channel]) < 0.002);
    }
  });

  it('has the noise that the classifier is told', () => {
    const { rgb } = expose(half(3), chip, EVEN, createRandom(2));
    for (const channel of [0, 1, 2] as const) {
      const { mean, variance } = statistics(rgb, channel, 0, SIZE / 2 - 4);
      assert.ok(Math.abs(variance / greyVariance(DEMO_CAMERA, mean) - 1) < 0.07);
    }
  });

  it('saturates where thick graphite is brighter than the camera can say', () => {
    const { rgb } = expose(half(240), chip, EVEN, createRandom(3));
    assert.equal(statistics(rgb, 1, 0, SIZE / 2 - 4).mean, 255);
  });

  it('blurs an edge over a few pixels', () => {
    const { rgb } = expose(half(240), chip, EVEN, createRandom(4));
    const column = (x: number): number => statistics(rgb, 0, x, x + 1).mean;
    assert.ok(column(SIZE / 2) > column(SIZE / 2 + 4) + 10);
    assert.ok(Math.abs(column(SIZE / 2 + 4) - chip.substrate[0]) < 0.6);
  });

  it('is the same for a seed', () => {
    const [one, two, other] = [5, 5, 6].map((seed) => expose(half(1), chip, DEMO_LIGHT, createRandom(seed)).rgb);
    assert.deepEqual(one, two);
    assert.notDeepEqual(one, other);
  });
});

describe('the uneven light', () => {
  it('is 1 in the centre and stays within the 5 grey levels of the background estimate', () => {
    assert.equal(brightnessAt(DEMO_LIGHT, 0, 0), 1);
    for (const u of [-1, 1]) {
      for (const v of [-1, 1]) {
        const change = brightnessAt(DEMO_LIGHT, u, v) - 1;
        assert.ok(change < 0 && Math.abs(change) * Math.max(...chip.substrate) < 4);
      }
    }
  });
});

describe('encodeMicrograph', () => {
  it('writes a PNG with these very pixels, and a JPEG close to them', async () => {
    const picture = expose(half(4), chip, DEMO_LIGHT, createRandom(8));
    const png = await sharp(await encodeMicrograph(picture, 'png'))
      .raw()
      .toBuffer();
    assert.deepEqual(new Uint8Array(png), picture.rgb);
    const jpeg = await encodeMicrograph(picture, 'jpeg');
    const metadata = await sharp(jpeg).metadata();
    assert.deepEqual(
      [metadata.format, metadata.width, metadata.height, metadata.chromaSubsampling],
      ['jpeg', SIZE, SIZE, '4:2:0'],
    );
    const pixels = await sharp(jpeg).raw().toBuffer();
    for (const channel of [0, 1, 2]) {
      const [before, after] = [picture.rgb, pixels].map((rgb) => statistics(rgb, channel, 0, 50).mean);
      assert.ok(Math.abs((before ?? 0) - (after ?? 0)) < 0.5);
    }
  });
});
