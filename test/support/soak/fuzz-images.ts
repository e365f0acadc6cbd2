import { crc32 } from 'node:zlib';
import sharp, { type Sharp } from 'sharp';
import { mutate } from './mutate.ts';
import type { SeededRandom } from './seeded-random.ts';

export type ImageFormat = 'jpeg' | 'png' | 'tiff' | 'webp';

export interface SeedImage {
  readonly format: ImageFormat;
  readonly bytes: Buffer;
}

/** Every way of writing that sharp offers and a microscope or a photo program might use. */
const WRITERS: readonly (readonly [ImageFormat, (image: Sharp) => Sharp])[] = [
  ['jpeg', (image) => image.jpeg({ quality: 90 })],
  ['jpeg', (image) => image.jpeg({ progressive: true, chromaSubsampling: '4:4:4' })],
  ['jpeg', (image) => image.greyscale().jpeg()],
  ['jpeg', (image) => image.withMetadata({ orientation: 6, density: 300 }).jpeg()],
  ['jpeg', (image) => image.toColourspace('cmyk').jpeg()],
  ['png', (image) => image.png()],
  ['png', (image) => image.png({ progressive: true, compressionLevel: 0 })],
  ['png', (image) => image.png({ palette: true, colours: 16 })],
  ['png', (image) => image.ensureAlpha(0.5).png()],
  ['png', (image) => image.toColourspace('rgb16').png()],
  ['tiff', (image) => image.tiff({ compression: 'none' })],
  ['tiff', (image) => image.tiff({ compression: 'lzw', predictor: 'horizontal' })],
  ['tiff', (image) => image.tiff({ compression: 'deflate', tile: true, tileWidth: 32, tileHeight: 32 })],
  ['tiff', (image) => image.tiff({ compression: 'jpeg' })],
  ['tiff', (image) => image.greyscale().tiff({ compression: 'packbits', bitdepth: 4 })],
  ['webp', (image) => image.webp({ quality: 80 })],
  ['webp', (image) => image.webp({ lossless: true })],
  ['webp', (image) => image.ensureAlpha(0.5).webp()],
];

/** Small images with a background and a few flakes. */
export async function seedImages(random: SeededRandom): Promise<SeedImage[]> {
  return Promise.all(
    WRITERS.map(async ([format, write]) => {
      const [width, height] = [random.between(24, 120), random.between(24, 90)];
      const pixels = Buffer.alloc(width * height * 3, 160);
      for (let at = 0; at < pixels.byteLength; at += 1) {
        const isFlake = at % (width * 3) > width && at > pixels.byteLength / 2;
        pixels[at] = (isFlake ? 130 : 160) + random.below(4);
      }
      const image = sharp(pixels, { raw: { width, height, channels: 3 } });
      return { format, bytes: await write(image).toBuffer() };
    }),
  );
}

/** An image that nobody should send. */
export function fuzzImage(seeds: readonly SeedImage[], random: SeededRandom): Buffer {
  const { format, bytes } = random.pick(seeds);
  if (random.isChance(0.25)) {
    const sized = withDeclaredSize(format, Buffer.from(bytes), declaredSize(random), declaredSize(random));
    return random.isChance(0.7) ? sized : mutate(sized, random);
  }
  const others = seeds.map((seed) => seed.bytes);
  return random.isChance(0.03) ? random.bytes(random.between(0, 300)) : mutate(bytes, random, others);
}

/** Sizes from nothing to more than any format allows; 7000 x 7000 is just below the limit of pixels. */
function declaredSize(random: SeededRandom): number {
  return random.pick([0, 1, 100, 1000, 7000, 7072, 20_000, 65_500, 65_535, 2 ** 24, 2 ** 31 - 1, 2 ** 32 - 1]);
}

/** The same image, its header saying another size, checksums right. */
function withDeclaredSize(format: ImageFormat, bytes: Buffer, width: number, height: number): Buffer {
  switch (format) {
    case 'png':
      bytes.writeUInt32BE(width, 16);
      bytes.writeUInt32BE(height, 20);
      bytes.writeUInt32BE(crc32(bytes.subarray(12, 29)), 29);
      return bytes;
    case 'jpeg':
      return withJpegSize(bytes, width, height);
    case 'tiff':
      return withTiffTags(bytes, { 256: width, 257: height });
    case 'webp':
      return withWebpSize(bytes, width, height);
  }
}

/** In the frame header: SOF0 or SOF2. */
function withJpegSize(bytes: Buffer, width: number, height: number): Buffer {
  for (let at = 2; at + 9 < bytes.byteLength && bytes[at] === 0xff; at += 2 + bytes.readUInt16BE(at + 2)) {
    if (bytes[at + 1] === 0xc0 || bytes[at + 1] === 0xc2) {
      bytes.writeUInt16BE(height & 0xffff, at + 5);
      bytes.writeUInt16BE(width & 0xffff, at + 7);
    }
  }
  return bytes;
}

/** In the first directory, little-endian as sharp writes it; each value as a number of 32 bits. */
function withTiffTags(bytes: Buffer, values: Readonly<Record<number, number>>): Buffer {
  const directoryAt = bytes.readUInt32LE(4);
  for (let index = 0; index < bytes.readUInt16LE(directoryAt); index += 1) {
    const at = directoryAt + 2 + 12 * index;
    const value = values[bytes.readUInt16LE(at)];
    if (value !== undefined) {
      bytes.writeUInt16LE(4, at + 2);
      bytes.writeUInt32LE(value >>> 0, at + 8);
    }
  }
  return bytes;
}

/** In the canvas of an extended file, the frame of a lossy one, or the bits of a lossless one. */
function withWebpSize(bytes: Buffer, width: number, height: number): Buffer {
  switch (bytes.toString('latin1', 12, 16)) {
    case 'VP8X':
      bytes.writeUIntLE(width & 0xff_ffff, 24, 3);
      bytes.writeUIntLE(height & 0xff_ffff, 27, 3);
      break;
    case 'VP8 ':
      bytes.writeUInt16LE(width & 0x3fff, 26);
      bytes.writeUInt16LE(height & 0x3fff, 28);
      break;
    default:
      bytes.writeUInt32LE((((width & 0x3fff) | ((height & 0x3fff) << 14)) >>> 0) >>> 0, 21);
  }
  return bytes;
}
