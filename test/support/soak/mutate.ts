import type { SeededRandom } from './seeded-random.ts';

type Mutation = (bytes: Buffer, random: SeededRandom, others: readonly Uint8Array[]) => Buffer;

/** Numbers that sizes and counts break at, little- and big-endian. */
const EDGES: readonly Buffer[] = ['ff', 'ffff', 'ffffffff', '7fffffff', 'ffffff7f', '80000000', '00000080', '00', '00000000'].map(
  (hex) => Buffer.from(hex, 'hex'),
);

const MUTATIONS: readonly Mutation[] = [
  (bytes, random) => {
    for (let flips = random.between(1, 16); flips > 0; flips -= 1) {
      const at = random.below(bytes.byteLength);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << random.below(8));
    }
    return bytes;
  },
  (bytes, random) => bytes.subarray(0, random.below(bytes.byteLength)),
  (bytes, random) => {
    const at = random.below(bytes.byteLength);
    return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + random.between(1, 20))]);
  },
  (bytes, random) => {
    const at = random.below(bytes.byteLength);
    return Buffer.concat([bytes.subarray(0, at), random.bytes(random.between(1, 40)), bytes.subarray(at)]);
  },
  // A splice: the head of this one, the tail of another.
  (bytes, random, others) => {
    const other = random.pick(others);
    return Buffer.concat([bytes.subarray(0, random.below(bytes.byteLength)), other.subarray(random.below(other.byteLength))]);
  },
  (bytes, random) => {
    const from = random.below(bytes.byteLength);
    const slice = bytes.subarray(from, from + random.between(1, 200));
    const at = random.below(bytes.byteLength);
    return Buffer.concat([bytes.subarray(0, at), slice, bytes.subarray(at)]);
  },
  (bytes, random) => overwrite(bytes, random.pick(EDGES), random.below(bytes.byteLength)),
  // Where headers stand.
  (bytes, random) => overwrite(bytes, random.pick(EDGES), random.below(Math.min(64, bytes.byteLength))),
  (bytes, random) => overwrite(bytes, random.bytes(random.between(1, 4)), random.below(Math.min(64, bytes.byteLength))),
];

/** Damages bytes in one to three ways. `others` are what a splice may take from. */
export function mutate(bytes: Uint8Array, random: SeededRandom, others: readonly Uint8Array[] = [bytes]): Buffer {
  let result = Buffer.from(bytes);
  for (let ways = random.isChance(0.7) ? 1 : random.between(2, 3); ways > 0 && result.byteLength > 0; ways -= 1) {
    result = Buffer.from(random.pick(MUTATIONS)(result, random, others));
  }
  return result;
}

function overwrite(bytes: Buffer, part: Uint8Array, at: number): Buffer {
  bytes.set(part.subarray(0, bytes.byteLength - at), at);
  return bytes;
}
