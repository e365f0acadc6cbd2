/** First bytes, in Latin-1, of what people send instead of a micrograph that can be read. */
const SIGNATURES: readonly (readonly [name: string, pattern: RegExp])[] = [
  ['JPEG', /^\xff\xd8\xff/],
  ['PNG', /^\x89PNG\r\n\x1a\n/],
  ['TIFF', /^(II[*+]\0|MM\0[*+])/],
  ['WebP', /^RIFF.{4}WEBP/s],
  ['GIF', /^GIF8[79]a/],
  ['BMP', /^BM.{4}\0{4}/s],
  ['PDF', /^%PDF-/],
  ['HEIF or AVIF', /^.{4}ftyp(avif|avis|hei[cfmsx]|hev[cmsx]|mi[af]1|msf1)/s],
  ['JPEG 2000', /^(\0\0\0\x0cjP {2}\r\n|\xff\x4f\xff\x51)/],
  ['JPEG XL', /^(\xff\x0a|\0\0\0\x0cJXL )/],
  ['ZIP', /^PK\x03\x04/],
  ['gzip', /^\x1f\x8b/],
  ['SVG', /^\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)*(<!DOCTYPE svg[^>]*>\s*)?<svg[\s>]/is],
  ['HTML or XML', /^\s*<(!doctype html|html|\?xml)/i],
];

/** Enough for every signature. */
const LOOKED_AT = 256;
const SHOWN = 8;

/** Says what some bytes look like, for the one who sent them: `GIF, 48 bytes beginning 47494638...`. */
export function describeBytes(bytes: Uint8Array): string {
  if (bytes.byteLength === 0) {
    return 'no bytes';
  }
  const head = Buffer.from(bytes.subarray(0, LOOKED_AT));
  const name = SIGNATURES.find(([, pattern]) => pattern.test(head.toString('latin1')))?.[0] ?? 'unknown content';
  return `${name}, ${bytes.byteLength} bytes beginning ${head.subarray(0, SHOWN).toString('hex')}`;
}
