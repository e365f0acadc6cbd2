import { crc32, deflateRawSync } from 'node:zlib';

/** One entry of a zip for tests; what is left out is as an honest writer has it. */
export interface TestZipEntry {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly isDeflated?: boolean;
  /** Unix mode in the external attributes, such as 0o120777 for a symbolic link. */
  readonly unixMode?: number;
  readonly flags?: number;
  readonly method?: number;
  readonly crc?: number;
  /** Unpacked size to declare. */
  readonly declaredBytes?: number;
  /** Pads the local header so that the content begins at a multiple of this, as PyTorch does. */
  readonly alignment?: number;
}

/** Writes a zip; with `isZip64`, sizes and offsets stand in zip64 fields. */
export function writeZip(entries: readonly TestZipEntry[], isZip64 = false): Buffer {
  return Buffer.concat([...zipParts(entries, isZip64)]);
}

/** The same piece by piece, for what is better not held in memory: entries are asked for one after the other. */
export function* zipParts(entries: Iterable<TestZipEntry>, isZip64 = false): Generator<Buffer> {
  const directory: Buffer[] = [];
  let offset = 0;
  for (const entry of entries) {
    const { bytes } = entry;
    const packed =
      entry.isDeflated === true ? deflateRawSync(bytes) : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const local = header(entry, packed.byteLength, { isZip64, padding: paddingOf(entry, offset) });
    directory.push(header(entry, packed.byteLength, { isZip64, offset }));
    yield local;
    yield packed;
    offset += local.byteLength + packed.byteLength;
  }
  const central = Buffer.concat(directory);
  yield central;
  if (isZip64) {
    yield zip64End(directory.length, central.byteLength, offset);
  }
  yield end(directory.length, central.byteLength, offset, isZip64);
}

interface Place {
  readonly isZip64: boolean;
  /** Of the local header: makes it a central one. */
  readonly offset?: number;
  readonly padding?: number;
}

const LOCAL_BYTES = 30;
const FULL = 0xffffffff;

function paddingOf({ name, alignment = 1 }: TestZipEntry, offset: number): number {
  if (alignment === 1) {
    return 0;
  }
  const contentAt = offset + LOCAL_BYTES + Buffer.byteLength(name) + 4;
  return (alignment - (contentAt % alignment)) % alignment;
}

function header(entry: TestZipEntry, packedBytes: number, { isZip64, offset, padding }: Place): Buffer {
  const isCentral = offset !== undefined;
  const name = Buffer.from(entry.name);
  const size = entry.declaredBytes ?? entry.bytes.byteLength;
  const extra = isZip64
    ? zip64Extra([size, packedBytes, ...(isCentral ? [offset] : [])])
    : paddingExtra(isCentral ? undefined : padding, entry.alignment);
  const fixed = Buffer.alloc(isCentral ? 46 : LOCAL_BYTES);
  fixed.writeUInt32LE(isCentral ? 0x02014b50 : 0x04034b50, 0);
  let at = 4;
  if (isCentral) {
    fixed.writeUInt16LE(entry.unixMode === undefined ? 20 : (3 << 8) | 20, at);
    at += 2;
  }
  fixed.writeUInt16LE(20, at);
  fixed.writeUInt16LE(entry.flags ?? 0, at + 2);
  fixed.writeUInt16LE(entry.method ?? (entry.isDeflated === true ? 8 : 0), at + 4);
  fixed.writeUInt32LE(entry.crc ?? crc32(entry.bytes), at + 10);
  fixed.writeUInt32LE(isZip64 ? FULL : packedBytes, at + 14);
  fixed.writeUInt32LE(isZip64 ? FULL : size, at + 18);
  fixed.writeUInt16LE(name.byteLength, at + 22);
  fixed.writeUInt16LE(extra.byteLength, at + 24);
  if (isCentral) {
    fixed.writeUInt32LE(((entry.unixMode ?? 0) << 16) >>> 0, 38);
    fixed.writeUInt32LE(isZip64 ? FULL : offset, 42);
  }
  return Buffer.concat([fixed, name, extra]);
}

function paddingExtra(padding: number | undefined, alignment: number | undefined): Buffer {
  if (padding === undefined || alignment === undefined) {
    return Buffer.alloc(0);
  }
  const extra = Buffer.alloc(4 + padding, 'Z');
  extra.write('FB', 0, 'latin1');
  extra.writeUInt16LE(padding, 2);
  return extra;
}

function zip64Extra(numbers: readonly number[]): Buffer {
  const extra = Buffer.alloc(4 + numbers.length * 8);
  extra.writeUInt16LE(1, 0);
  extra.writeUInt16LE(numbers.length * 8, 2);
  numbers.forEach((number, index) => extra.writeBigUInt64LE(BigInt(number), 4 + index * 8));
  return extra;
}

function zip64End(count: number, directoryBytes: number, directoryAt: number): Buffer {
  const record = Buffer.alloc(56 + 20);
  record.writeUInt32LE(0x06064b50, 0);
  record.writeBigUInt64LE(44n, 4);
  record.writeUInt16LE(45, 12);
  record.writeUInt16LE(45, 14);
  record.writeBigUInt64LE(BigInt(count), 24);
  record.writeBigUInt64LE(BigInt(count), 32);
  record.writeBigUInt64LE(BigInt(directoryBytes), 40);
  record.writeBigUInt64LE(BigInt(directoryAt), 48);
  record.writeUInt32LE(0x07064b50, 56);
  record.writeBigUInt64LE(BigInt(directoryAt + directoryBytes), 64);
  record.writeUInt32LE(1, 72);
  return record;
}

function end(count: number, directoryBytes: number, directoryAt: number, isZip64: boolean): Buffer {
  const record = Buffer.alloc(22);
  record.writeUInt32LE(0x06054b50, 0);
  record.writeUInt16LE(isZip64 ? 0xffff : count, 8);
  record.writeUInt16LE(isZip64 ? 0xffff : count, 10);
  record.writeUInt32LE(isZip64 ? FULL : directoryBytes, 12);
  record.writeUInt32LE(isZip64 ? FULL : directoryAt, 16);
  return record;
}
