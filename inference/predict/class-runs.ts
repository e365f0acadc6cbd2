import { wordsOf } from './colours.ts';
import type { DecodedImage } from './decoder.ts';
import { RunBuilder, type RunMask } from './runs.ts';

/** All pixels of one class. */
export interface ClassMask {
  readonly classIndex: number;
  readonly mask: RunMask;
}

/**
 * The class map as one mask for each class present, background (0) left out, ascending. `classOfKey` as in
 * `ColourIndex.withClasses`. Most pixels of a micrograph are background: only changes of class cost more than a look-up.
 */
export function findClassRuns(image: DecodedImage, classOfKey: Uint32Array): ClassMask[] {
  const { rgb } = image;
  const runs = new RunsByClass(image);
  const words = wordsOf(rgb);
  const wholeWords = words.length - (words.length % 3);
  let current = 0;
  let pixel = 0;
  for (let at = 0; at < wholeWords; at += 3) {
    const word0 = words[at] ?? 0;
    const word1 = words[at + 1] ?? 0;
    const word2 = words[at + 2] ?? 0;
    const class0 = classOfKey[word0 & 0xffffff] ?? 0;
    const class1 = classOfKey[(word0 >>> 24) | ((word1 & 0xffff) << 8)] ?? 0;
    const class2 = classOfKey[(word1 >>> 16) | ((word2 & 0xff) << 16)] ?? 0;
    const class3 = classOfKey[word2 >>> 8] ?? 0;
    if (class0 !== current) {
      runs.change(class0, pixel);
      current = class0;
    }
    if (class1 !== current) {
      runs.change(class1, pixel + 1);
      current = class1;
    }
    if (class2 !== current) {
      runs.change(class2, pixel + 2);
      current = class2;
    }
    if (class3 !== current) {
      runs.change(class3, pixel + 3);
      current = class3;
    }
    pixel += 4;
  }
  for (let at = wholeWords * 4; at < rgb.length; at += 3) {
    const last = classOfKey[((rgb[at + 2] ?? 0) << 16) | ((rgb[at + 1] ?? 0) << 8) | (rgb[at] ?? 0)] ?? 0;
    if (last !== current) {
      runs.change(last, pixel);
      current = last;
    }
    pixel++;
  }
  return runs.finish();
}

/** The class of every pixel, row by row; for comparisons and votes, which need it whole. */
export function paintClassMap(masks: readonly ClassMask[], width: number, height: number): Uint8Array {
  const map = new Uint8Array(width * height);
  for (const { classIndex, mask } of masks) {
    for (let row = 0; row < height; row++) {
      for (let run = mask.rowStart[row] ?? 0; run < (mask.rowStart[row + 1] ?? 0); run++) {
        map.fill(classIndex, row * width + (mask.start[run] ?? 0), row * width + (mask.end[run] ?? 0));
      }
    }
  }
  return map;
}

/** Takes the pixels of an image as one line, row after row, and cuts what has one class into runs within rows. */
class RunsByClass {
  #current = 0;
  #since = 0;
  readonly #width: number;
  readonly #height: number;
  readonly #builders: (RunBuilder | undefined)[] = [];

  constructor({ width, height }: DecodedImage) {
    this.#width = width;
    this.#height = height;
  }

  /** From `pixel` on the class is `next`. */
  change(next: number, pixel: number): void {
    if (this.#current !== 0) {
      this.#add(this.#current, this.#since, pixel);
    }
    this.#current = next;
    this.#since = pixel;
  }

  finish(): ClassMask[] {
    this.change(0, this.#width * this.#height);
    const masks: ClassMask[] = [];
    for (const [classIndex, builder] of this.#builders.entries()) {
      if (builder !== undefined) {
        masks.push({ classIndex, mask: builder.finish() });
      }
    }
    return masks;
  }

  #add(classIndex: number, from: number, to: number): void {
    const width = this.#width;
    const builder = (this.#builders[classIndex] ??= new RunBuilder(width, this.#height));
    let begin = from;
    while (begin < to) {
      while (begin >= (builder.row + 1) * width) {
        builder.nextRow();
      }
      const rowBegin = builder.row * width;
      const end = Math.min(to, rowBegin + width);
      builder.add(begin - rowBegin, end - rowBegin);
      begin = end;
    }
  }
}
