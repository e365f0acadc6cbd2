/** The distinct colours of an image and the number of pixels of each, in order of first appearance. */
export interface Colours {
  /** `b << 16 | g << 8 | r`. */
  readonly keys: Uint32Array;
  readonly counts: Uint32Array;
}

const KEY_COUNT = 2 ** 24;

/**
 * Finds an image's distinct colours and looks up what was decided for each. Owns one table with an entry for every possible
 * 24-bit colour: 64 MiB of address space, of which the operating system provides only the pages that an image's colours
 * touch. Each method leaves the table as empty as it found it, clearing only what it touched, so one index serves any number
 * of images, interleaved or not; make one a process.
 */
export class ColourIndex {
  readonly #table = new Uint32Array(KEY_COUNT);

  /** `rgb`: interleaved R, G, B bytes; at most 2^32 - 1 pixels. Takes 4 bytes a pixel for the time of the call. */
  collect(rgb: Uint8Array): Colours {
    const table = this.#table;
    const seen = new Uint32Array(Math.min(rgb.length / 3, KEY_COUNT));
    let found = 0;
    try {
      found = countColours(rgb, table, seen);
      const keys = seen.slice(0, found);
      const counts = new Uint32Array(found);
      for (let index = 0; index < found; index++) {
        counts[index] = table[keys[index] ?? 0] ?? 0;
      }
      return { keys, counts };
    } finally {
      clear(table, seen, found);
    }
  }

  /**
   * Calls `use` with a table that gives the class of each colour by its key. The table is empty again when this returns: `use`
   * must neither keep it nor wait.
   */
  withClasses<T>({ keys }: Colours, classes: Uint8Array, use: (classOfKey: Uint32Array) => T): T {
    const table = this.#table;
    try {
      for (let index = 0; index < keys.length; index++) {
        table[keys[index] ?? 0] = classes[index] ?? 0;
      }
      return use(table);
    } finally {
      clear(table, keys, keys.length);
    }
  }
}

/**
 * The bytes as 32-bit words, little-endian as every platform of ONNX Runtime is. Four pixels are three words: reading those
 * instead of twelve bytes halves the time of a pass. A last part of less than four bytes is left out; bytes that do not begin
 * at a whole word's address are copied first.
 */
export function wordsOf(bytes: Uint8Array): Uint32Array {
  const aligned = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice();
  return new Uint32Array(aligned.buffer, aligned.byteOffset, aligned.length >>> 2);
}

/** Counts each colour's pixels in `table` and lists the colours in `seen`; gives their number. */
function countColours(rgb: Uint8Array, table: Uint32Array, seen: Uint32Array): number {
  const words = wordsOf(rgb);
  const wholeWords = words.length - (words.length % 3);
  let found = 0;
  for (let at = 0; at < wholeWords; at += 3) {
    const word0 = words[at] ?? 0;
    const word1 = words[at + 1] ?? 0;
    const word2 = words[at + 2] ?? 0;
    const key0 = word0 & 0xffffff;
    const key1 = (word0 >>> 24) | ((word1 & 0xffff) << 8);
    const key2 = (word1 >>> 16) | ((word2 & 0xff) << 16);
    const key3 = word2 >>> 8;
    let count = table[key0] ?? 0;
    if (count === 0) {
      seen[found++] = key0;
    }
    table[key0] = count + 1;
    count = table[key1] ?? 0;
    if (count === 0) {
      seen[found++] = key1;
    }
    table[key1] = count + 1;
    count = table[key2] ?? 0;
    if (count === 0) {
      seen[found++] = key2;
    }
    table[key2] = count + 1;
    count = table[key3] ?? 0;
    if (count === 0) {
      seen[found++] = key3;
    }
    table[key3] = count + 1;
  }
  for (let at = wholeWords * 4; at < rgb.length; at += 3) {
    const key = ((rgb[at + 2] ?? 0) << 16) | ((rgb[at + 1] ?? 0) << 8) | (rgb[at] ?? 0);
    const count = table[key] ?? 0;
    if (count === 0) {
      seen[found++] = key;
    }
    table[key] = count + 1;
  }
  return found;
}

function clear(table: Uint32Array, keys: Uint32Array, count: number): void {
  for (let index = 0; index < count; index++) {
    table[keys[index] ?? 0] = 0;
  }
}
