import { deflateSync } from 'node:zlib';

export type PngColour = 'grey' | 'rgb' | 'palette' | 'grey-alpha' | 'rgb-alpha';

const COLOUR_TYPES: Readonly<Record<PngColour, number>> = { grey: 0, rgb: 2, palette: 3, 'grey-alpha': 4, 'rgb-alpha': 6 };
const SIGNATURE = Buffer.from('89504e470d0a1a0a', 'hex');

export interface PngParts {
  readonly width: number;
  readonly height: number;
  readonly depth: 1 | 2 | 4 | 8 | 16;
  readonly colour: PngColour;
  /** The samples of each row as they are stored, high byte first. */
  readonly rows: readonly (readonly number[])[];
  /** Chunks between header and pixels, by their type. */
  readonly extra?: readonly (readonly [type: string, data: Uint8Array])[];
}

/** A PNG byte by byte, with right checksums: for exact samples, and for headers that no encoder would write. */
export function writePng({ width, height, depth, colour, rows, extra = [] }: PngParts): Buffer {
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.writeUInt8(depth, 8);
  header.writeUInt8(COLOUR_TYPES[colour], 9);
  // Each row begins with its filter: 0, none.
  const pixels = deflateSync(Buffer.from(rows.flatMap((row) => [0, ...row])));
  return Buffer.concat([
    SIGNATURE,
    chunk('IHDR', header),
    ...extra.map(([type, data]) => chunk(type, data)),
    chunk('IDAT', pixels),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}

/** An iCCP chunk's data. */
export function iccChunk(profile: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from('test\0\0', 'latin1'), deflateSync(profile)]);
}

/** An eXIf chunk's data: big-endian TIFF with the orientation alone. */
export function orientationChunk(orientation: number): Buffer {
  const exif = Buffer.from('4d4d002a00000008000101120003000000010000000000000000', 'hex');
  exif.writeUInt16BE(orientation, 18);
  return exif;
}

function chunk(type: string, data: Uint8Array): Buffer {
  const body = Buffer.concat([Buffer.from(type, 'latin1'), data]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.byteLength);
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(body));
  return Buffer.concat([length, body, sum]);
}

function crc32(bytes: Uint8Array): number {
  let crc = 0xffff_ffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) {
      crc = (crc & 1) === 1 ? 0xedb8_8320 ^ (crc >>> 1) : crc >>> 1;
    }
  }
  return (crc ^ 0xffff_ffff) >>> 0;
}
