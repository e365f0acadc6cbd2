import assert from 'node:assert/strict';
import { test } from 'node:test';
import sharp from 'sharp';
import { drawOverlay } from '../../../../clients/cli/overlay/overlay.ts';
import { lineStyle } from '../../../../clients/cli/overlay/palette.ts';
import { encodeMask } from '../../../support/mask-encoder.ts';
import { flakeAt, summaryOf } from '../../../support/predictions.ts';
import { isError } from '../../../support/service-errors.ts';

const WIDTH = 600;
const HEIGHT = 400;
const BACKGROUND = [0x88, 0x77, 0xaa] as const;

interface Pixels {
  readonly width: number;
  readonly height: number;
  at(x: number, y: number): readonly number[];
}

function rectangle(
  index: number,
  classIndex: number,
  x: number,
  y: number,
  width: number,
  height: number,
): ReturnType<typeof flakeAt> {
  const mask = encodeMask(WIDTH, HEIGHT, (column, row) => column >= x && column < x + width && row >= y && row < y + height);
  return { ...flakeAt(index, classIndex, x, y, width, height, 0.5), mask };
}

async function picture(width = WIDTH, height = HEIGHT): Promise<Buffer> {
  const [r, g, b] = BACKGROUND;
  return sharp({ create: { width, height, channels: 3, background: { r, g, b } } })
    .png()
    .toBuffer();
}

async function draw(flakes: readonly ReturnType<typeof flakeAt>[], image?: Buffer, umPerPx?: number): Promise<Pixels> {
  const input = { image: image ?? (await picture()), name: 'a.png', flakes, summary: summaryOf(flakes, umPerPx) };
  const { data, info } = await sharp(await drawOverlay(input))
    .raw()
    .toBuffer({ resolveWithObject: true });
  assert.equal(info.channels, 3);
  const at = (x: number, y: number): number[] => [...data.subarray((y * info.width + x) * 3, (y * info.width + x) * 3 + 3)];
  return { width: info.width, height: info.height, at };
}

function isColour(found: readonly number[], hex: string, tolerance = 40): boolean {
  const wanted = [1, 3, 5].map((at) => Number.parseInt(hex.slice(at, at + 2), 16));
  return found.every((value, channel) => Math.abs(value - (wanted[channel] ?? 0)) <= tolerance);
}

function count(
  pixels: Pixels,
  area: { x: number; y: number; width: number; height: number },
  matches: (found: readonly number[]) => boolean,
): number {
  let found = 0;
  for (let y = area.y; y < area.y + area.height; y += 1) {
    for (let x = area.x; x < area.x + area.width; x += 1) {
      found += matches(pixels.at(x, y)) ? 1 : 0;
    }
  }
  return found;
}

test('outlines lie on the border of the mask, in the colour of the layer, and nothing is filled', async () => {
  const pixels = await draw([rectangle(0, 1, 100, 100, 80, 60), rectangle(1, 2, 300, 200, 50, 50)]);
  for (const [x, y] of [
    [140, 100],
    [140, 159],
    [100, 130],
    [179, 130],
  ] as const) {
    assert.ok(isColour(pixels.at(x, y), lineStyle(1).colour), `layer 1 at ${x}, ${y}: ${pixels.at(x, y).join()}`);
  }
  assert.ok(isColour(pixels.at(325, 200), lineStyle(2).colour));
  assert.deepEqual(pixels.at(140, 130), BACKGROUND, 'the inside is left as it is');
  assert.deepEqual(pixels.at(20, 380), BACKGROUND, 'far away nothing changed');
});

test('a dark halo parts the outline from the picture', async () => {
  const pixels = await draw([rectangle(0, 1, 100, 100, 80, 60)]);
  const dark = (found: readonly number[]): boolean => found.every((value) => value < 70);
  assert.ok(count(pixels, { x: 130, y: 94, width: 1, height: 12 }, dark) >= 2);
});

test('legend, scale bar and footer stand below the picture', async () => {
  const pixels = await draw([rectangle(0, 1, 100, 100, 80, 60), rectangle(1, 2, 300, 200, 50, 50)], undefined, 0.5);
  assert.equal(pixels.width, WIDTH);
  assert.ok(pixels.height > HEIGHT + 40);
  const panel = { x: 0, y: HEIGHT, width: WIDTH, height: pixels.height - HEIGHT };
  for (const layer of [1, 2]) {
    assert.ok(count(pixels, panel, (found) => isColour(found, lineStyle(layer).colour)) > 20, `swatch of layer ${layer}`);
  }
  const right = { ...panel, x: WIDTH - 150, width: 150 };
  // 120 px are 60 um, so the bar is 50 um long: 100 px.
  const white = (found: readonly number[]): boolean => isColour(found, '#FFFFFF');
  const rows = Array.from({ length: right.height }, (_, row) => count(pixels, { ...right, y: right.y + row, height: 1 }, white));
  assert.ok(
    rows.some((length) => Math.abs(length - 100) <= 3),
    `bar of ${Math.max(...rows)} px`,
  );
});

test('letters are drawn without any font', async () => {
  // Text elements would depend on the fonts of the machine.
  const none = await draw([]);
  const area = { x: 0, y: HEIGHT, width: WIDTH / 2, height: none.height - HEIGHT };
  const light = (found: readonly number[]): boolean => found.every((value) => value > 120);
  assert.ok(count(none, area, light) > 200, '"no flakes" and the footer');
});

test('numbers stand beside the flakes, not on them', async () => {
  const pixels = await draw([rectangle(8, 1, 100, 100, 80, 60)]);
  const white = (found: readonly number[]): boolean => isColour(found, '#FFFFFF', 30);
  assert.ok(count(pixels, { x: 183, y: 96, width: 40, height: 40 }, white) > 5);
  assert.equal(count(pixels, { x: 103, y: 103, width: 74, height: 54 }, white), 0);
});

test('flakes at every edge of the image, single pixels, and many layers are drawn', async () => {
  const flakes = [
    rectangle(0, 3, 0, 0, WIDTH, 3),
    rectangle(1, 9, 0, 0, 3, HEIGHT),
    rectangle(2, 200, WIDTH - 1, HEIGHT - 1, 1, 1),
    { ...rectangle(3, 4, 10, 10, 5, 5), mask: undefined },
  ];
  const pixels = await draw(flakes);
  assert.ok(isColour(pixels.at(300, 2), lineStyle(3).colour));
});

test('a small picture gets a margin, so that the legend can be read', async () => {
  const small = await draw([], await picture(60, 40));
  assert.ok(small.width >= 400);
  assert.deepEqual(small.at(30, 20), BACKGROUND);
});

test('sees the picture as inference does: turned as EXIF says, alpha dropped, 16 bits and grey as colours', async () => {
  const turned = await sharp(await picture(60, 400))
    .withMetadata({ orientation: 6 })
    .jpeg()
    .toBuffer();
  const pixels = await draw([], turned);
  assert.equal(pixels.width, 420);
  assert.ok(isColour(pixels.at(350, 30), '#8877AA', 8), 'turned: 400 wide, 60 high');
  assert.ok(isColour(pixels.at(410, 30), '#15171C', 8), 'then the margin');
  const clear = await sharp({ create: { width: 500, height: 50, channels: 4, background: { r: 200, g: 100, b: 50, alpha: 0 } } })
    .png()
    .toBuffer();
  assert.deepEqual((await draw([], clear)).at(9, 9), [200, 100, 50]);
  const grey = await sharp(await picture(500, 50))
    .toColourspace('grey16')
    .png()
    .toBuffer();
  const [r, g, b] = (await draw([], grey)).at(9, 9);
  assert.ok(r === g && g === b);
});

test('refuses what is no picture, and masks that are none', async () => {
  await assert.rejects(draw([], Buffer.from('no picture')), isError('invalid-argument', 'UNDECODABLE_IMAGE'));
  const flake = rectangle(0, 1, 10, 10, 5, 5);
  const broken = { ...flake, mask: { width: WIDTH, height: HEIGHT, counts: 'P' } };
  await assert.rejects(draw([broken]), isError('invalid-argument', 'INVALID_REQUEST'));
});
