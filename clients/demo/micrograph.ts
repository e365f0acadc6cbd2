import sharp from 'sharp';
import type { Picture } from './exposure.ts';

/** The file a microscope's software writes: JPEG with halved colour resolution and next to no quantisation (of the noise, too), or
 * lossless PNG. */
export async function encodeMicrograph({ width, height, rgb }: Picture, format: 'jpeg' | 'png'): Promise<Uint8Array> {
  const image = sharp(rgb, { raw: { width, height, channels: 3 } });
  return await (format === 'png' ? image.png() : image.jpeg({ quality: 99, chromaSubsampling: '4:2:0' })).toBuffer();
}
