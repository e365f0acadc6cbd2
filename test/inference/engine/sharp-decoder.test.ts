import assert from 'node:assert/strict';
import { test } from 'node:test';
import sharp from 'sharp';
import { fromWireError, toWireError } from '../../../inference/engine/protocol.ts';
import { SharpDecoder } from '../../../inference/engine/sharp-decoder.ts';
import { iccChunk, orientationChunk, type PngParts, writePng } from '../../support/png.ts';
import { isError, rejection } from '../../support/service-errors.ts';

const MAX_PIXELS = 50_000_000;
const never = new AbortController().signal;

// Everything that another format's code has to make comes first: a decoder shuts those off in the whole process.
const noise = {
  create: { width: 120, height: 90, channels: 3, background: 'red', noise: { type: 'gaussian', mean: 128, sigma: 30 } },
} as const;
const solid = (r: number, g: number, b: number) =>
  sharp({ create: { width: 8, height: 4, channels: 3, background: { r, g, b } } });
const twoPages = [await solid(1, 2, 3).png().toBuffer(), await solid(9, 8, 7).png().toBuffer()];
const displayP3 = (await sharp(await solid(1, 2, 3).withIccProfile('p3').png().toBuffer()).metadata()).icc;
const made = {
  jpeg: await sharp(noise).jpeg().toBuffer(),
  png: await sharp(noise).png().toBuffer(),
  tiff: await sharp(noise).tiff({ compression: 'none' }).toBuffer(),
  webp: await sharp(noise).webp().toBuffer(),
  cmykJpeg: await sharp(noise).toColourspace('cmyk').jpeg().toBuffer(),
  cmykTiff: await sharp(noise).toColourspace('cmyk').tiff({ compression: 'none' }).toBuffer(),
  gif: await solid(1, 2, 3).gif().toBuffer(),
  heif: await sharp(noise).heif({ compression: 'av1' }).toBuffer(),
  pages: await sharp(twoPages, { join: { animated: true } })
    .tiff({ compression: 'none' })
    .toBuffer(),
};
const decoder = new SharpDecoder({ maxPixels: MAX_PIXELS });

async function pixels(bytes: Uint8Array): Promise<{ size: string; rgb: number[] }> {
  const { width, height, rgb } = await decoder.decode(bytes, never);
  assert.equal(rgb.length, width * height * 3);
  return { size: `${width} x ${height}`, rgb: [...rgb] };
}

const row = (parts: Omit<PngParts, 'height' | 'rows'>, ...samples: number[]): Buffer =>
  writePng({ ...parts, height: 1, rows: [samples] });

for (const [what, bytes, rgb] of [
  ['8 bits', row({ width: 2, depth: 8, colour: 'rgb' }, 10, 20, 30, 40, 50, 60), [10, 20, 30, 40, 50, 60]],
  [
    '16 bits: the high byte, not rounded',
    row({ width: 2, depth: 16, colour: 'rgb' }, 0xff, 0x80, 0x00, 0xff, 0x12, 0x34, 0x01, 0x00, 0x7f, 0xff, 0x80, 0x00),
    [0xff, 0x00, 0x12, 0x01, 0x7f, 0x80],
  ],
  [
    '16 bits with alpha: dropped, the colour as stored',
    row(
      { width: 2, depth: 16, colour: 'rgb-alpha' },
      0xff,
      0x80,
      0x00,
      0xff,
      0x12,
      0x34,
      0,
      0,
      1,
      0,
      0x7f,
      0xff,
      0x80,
      0,
      0x80,
      0,
    ),
    [0xff, 0x00, 0x12, 0x01, 0x7f, 0x80],
  ],
  [
    'alpha: dropped, not composited',
    row({ width: 2, depth: 8, colour: 'rgb-alpha' }, 10, 20, 30, 0, 40, 50, 60, 128),
    [10, 20, 30, 40, 50, 60],
  ],
  [
    'grey: three equal channels',
    row({ width: 3, depth: 8, colour: 'grey' }, 1, 128, 255),
    [1, 1, 1, 128, 128, 128, 255, 255, 255],
  ],
  [
    'grey of 16 bits: the high byte three times',
    row({ width: 3, depth: 16, colour: 'grey' }, 0xff, 0x80, 0x00, 0xff, 0x12, 0x34),
    [255, 255, 255, 0, 0, 0, 0x12, 0x12, 0x12],
  ],
  ['grey with alpha', row({ width: 2, depth: 8, colour: 'grey-alpha' }, 1, 0, 128, 255), [1, 1, 1, 128, 128, 128]],
  [
    'grey of 16 bits with alpha',
    row({ width: 2, depth: 16, colour: 'grey-alpha' }, 0xff, 0x80, 0, 0xff, 0x12, 0x34, 0x80, 0),
    [255, 255, 255, 0x12, 0x12, 0x12],
  ],
  ['one bit', row({ width: 3, depth: 1, colour: 'grey' }, 0b1010_0000), [255, 255, 255, 0, 0, 0, 255, 255, 255]],
  [
    'a palette with a transparent entry',
    row(
      {
        width: 2,
        depth: 8,
        colour: 'palette',
        extra: [
          ['PLTE', Buffer.from([1, 2, 3, 200, 100, 50])],
          ['tRNS', Buffer.from([0, 255])],
        ],
      },
      0,
      1,
    ),
    [1, 2, 3, 200, 100, 50],
  ],
  [
    'a stated gamma: not applied',
    row({ width: 1, depth: 8, colour: 'rgb', extra: [['gAMA', Buffer.from([0, 0, 0x27, 0x10])]] }, 10, 20, 30),
    [10, 20, 30],
  ],
  [
    'a wide-gamut profile: not applied',
    row({ width: 1, depth: 8, colour: 'rgb', extra: [['iCCP', iccChunk(displayP3 ?? Buffer.alloc(0))]] }, 10, 200, 30),
    [10, 200, 30],
  ],
] as const) {
  test(`PNG, ${what}`, async () => {
    assert.deepEqual((await pixels(bytes)).rgb, rgb);
  });
}

test('the profile of that fixture is one that a decoder could apply', () => {
  assert.equal(displayP3?.subarray(36, 40).toString('latin1'), 'acsp');
});

for (const [orientation, size, order] of [
  [1, '3 x 2', '123456'],
  [2, '3 x 2', '321654'],
  [3, '3 x 2', '654321'],
  [4, '3 x 2', '456123'],
  [5, '2 x 3', '142536'],
  [6, '2 x 3', '415263'],
  [7, '2 x 3', '635241'],
  [8, '2 x 3', '362514'],
] as const) {
  test(`EXIF orientation ${orientation} is applied`, async () => {
    const bytes = writePng({
      width: 3,
      height: 2,
      depth: 8,
      colour: 'grey',
      rows: [
        [1, 2, 3],
        [4, 5, 6],
      ],
      extra: [['eXIf', orientationChunk(orientation)]],
    });
    const found = await pixels(bytes);
    assert.equal(found.size, size);
    assert.equal(found.rgb.filter((_, at) => at % 3 === 0).join(''), order);
  });
}

test('of a TIFF with pages the first one is read', async () => {
  assert.deepEqual((await pixels(made.pages)).rgb, Array.from({ length: 32 }, () => [1, 2, 3]).flat());
});

test('TIFF of 16 bits: the high byte', async () => {
  const png = row({ width: 2, depth: 16, colour: 'rgb' }, 0xff, 0x80, 0x00, 0xff, 0x12, 0x34, 1, 0, 0x7f, 0xff, 0x80, 0);
  const tiff = await sharp(png).toColourspace('rgb16').tiff({ compression: 'none' }).toBuffer();
  assert.deepEqual((await pixels(tiff)).rgb, [0xff, 0x00, 0x12, 0x01, 0x7f, 0x80]);
});

test('WebP without loss', async () => {
  const webp = await solid(11, 22, 33).webp({ lossless: true }).toBuffer();
  assert.deepEqual((await pixels(webp)).rgb.slice(0, 3), [11, 22, 33]);
});

test('JPEG', async () => {
  const { size, rgb } = await pixels(await solid(10, 20, 30).jpeg({ quality: 100 }).toBuffer());
  assert.equal(size, '8 x 4');
  assert.ok(rgb.every((value, at) => Math.abs(value - ([10, 20, 30][at % 3] ?? 0)) <= 2));
});

for (const [what, bytes, named] of [
  ['nothing', Buffer.alloc(0), 'no bytes'],
  ['text', Buffer.from('hello'), '68656c6c6f'],
  ['what no loader takes', Buffer.from('hello'), 'expected JPEG, PNG, TIFF or WebP'],
  ['GIF', made.gif, 'GIF'],
  ['AVIF', made.heif, 'HEIF or AVIF'],
  ['a JPEG for print', made.cmykJpeg, 'cmyk'],
  ['a TIFF for print', made.cmykTiff, 'cmyk'],
  ['SVG', Buffer.from('<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'), 'SVG'],
  ['PDF', Buffer.from('%PDF-1.4\n1 0 obj<<>>endobj\n%%EOF'), 'PDF'],
  ['the first half of a JPEG', made.jpeg.subarray(0, made.jpeg.length / 2), 'JPEG'],
  ['a JPEG without its last bytes', made.jpeg.subarray(0, -3), 'JPEG'],
  ['the first half of a PNG', made.png.subarray(0, made.png.length / 2), 'PNG'],
  ['a PNG without its last pixels', made.png.subarray(0, -40), 'PNG'],
  ['a PNG with a flipped byte', flipped(made.png), 'PNG'],
  ['the first half of a TIFF', made.tiff.subarray(0, made.tiff.length / 2), 'TIFF'],
  ['the first half of a WebP', made.webp.subarray(0, made.webp.length / 2), 'WebP'],
  ['a PNG of no width', writePng({ width: 0, height: 5, depth: 8, colour: 'grey', rows: [[1]] }), 'PNG'],
] as const) {
  test(`${what} is refused, naming what was found`, async () => {
    const error = await rejection(decoder.decode(bytes, never));
    assert.deepEqual([error.kind, error.reason], ['invalid-argument', 'UNDECODABLE_IMAGE']);
    assert.ok(error.message.includes(named), error.message);
  });
}

test('samples of another type are refused: their high byte means nothing', async () => {
  const floats = await sharp(Float32Array.from([0.1, 0.5, 1]), { raw: { width: 1, height: 1, channels: 3 } })
    .toColourspace('scrgb')
    .tiff({ compression: 'none' })
    .toBuffer();
  assert.equal((await sharp(floats).metadata()).depth, 'float');
  await assert.rejects(decoder.decode(floats, never), isError('invalid-argument', 'UNDECODABLE_IMAGE'));
});

test('a header of 60,000 x 60,000 is refused with both numbers before a pixel is read', async () => {
  const bomb = writePng({ width: 60_000, height: 60_000, depth: 8, colour: 'rgb', rows: [Array(3000).fill(7)] });
  const before = process.memoryUsage().rss;
  const error = await rejection(decoder.decode(bomb, never));
  assert.deepEqual([error.kind, error.reason], ['invalid-argument', 'IMAGE_TOO_LARGE']);
  assert.deepEqual(error.metadata, { pixels: '3600000000', max_pixels: String(MAX_PIXELS) });
  // The pixels would take 10.8 GB.
  assert.ok(process.memoryUsage().rss - before < 500e6);
});

test('a header of 4,294,967,295 x 4,294,967,295 is refused', async () => {
  const bytes = writePng({ width: 0xffff_ffff, height: 0xffff_ffff, depth: 8, colour: 'rgb', rows: [[1, 2, 3]] });
  await assert.rejects(decoder.decode(bytes, never), isError('invalid-argument', 'UNDECODABLE_IMAGE'));
});

test('the limit is of pixels, and itself allowed', async () => {
  const bytes = writePng({
    width: 2,
    height: 2,
    depth: 8,
    colour: 'grey',
    rows: [
      [1, 2],
      [3, 4],
    ],
  });
  assert.equal((await new SharpDecoder({ maxPixels: 4 }).decode(bytes, never)).rgb.length, 12);
  await assert.rejects(new SharpDecoder({ maxPixels: 3 }).decode(bytes, never), isError('invalid-argument', 'IMAGE_TOO_LARGE'));
});

test('where an image is padded, its sides are rounded up before they are counted: a line can become a large picture', async () => {
  const line = writePng({ width: 33, height: 1, depth: 8, colour: 'grey', rows: [Array(33).fill(1)] });
  const within = (bound: number) => new SharpDecoder({ maxPixels: 33, bound: { maxPixels: bound, sideMultiple: 32 } });
  assert.equal((await within(64 * 32).decode(line, never)).width, 33);
  const error = await rejection(within(64 * 32 - 1).decode(line, never));
  assert.equal(error.reason, 'IMAGE_TOO_LARGE');
  assert.deepEqual(error.metadata, { pixels: '2048', max_pixels: '2047' });
});

test('an image for which there is room only later is no mistake: the caller is told when to come again', async () => {
  const line = writePng({ width: 33, height: 1, depth: 8, colour: 'grey', rows: [Array(33).fill(1)] });
  const within = (laterMaxPixels: number) =>
    new SharpDecoder({ maxPixels: 33, bound: { maxPixels: 2047, laterMaxPixels, sideMultiple: 32 } });
  const error = fromWireError(toWireError(await rejection(within(2048).decode(line, never))));
  assert.deepEqual([error.kind, error.reason, error.retryDelayMs], ['resource-exhausted', 'INSUFFICIENT_MEMORY', 10_000]);
  const final = await rejection(within(2047).decode(line, never));
  assert.deepEqual([final.reason, final.metadata], ['IMAGE_TOO_LARGE', { pixels: '2048', max_pixels: '2047' }]);
});

test('an aborted caller gets no pixels', async () => {
  await assert.rejects(decoder.decode(made.png, AbortSignal.abort()), isError('cancelled', 'CANCELLED'));
});

function flipped(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  const middle = copy.length >> 1;
  copy[middle] = (copy[middle] ?? 0) ^ 0xff;
  return copy;
}
