/**
 * COCO's compressed run lengths: a mask read column by column, as the lengths of alternating runs of zeros and ones, zeros
 * first. Stands alone, so that clients can use it too.
 */
export interface RunLengthMask {
  readonly height: number;
  readonly width: number;
  readonly counts: string;
}

const FIRST_CODE = 48;
const MORE = 32;

/** Lengths to text: each as its difference from the one two before (from the fourth on), in base 32, lowest digit first. */
export function encodeRunLengths(lengths: readonly number[]): string {
  let counts = '';
  for (let index = 0; index < lengths.length; index++) {
    let value = (lengths[index] ?? 0) - (index > 2 ? (lengths[index - 2] ?? 0) : 0);
    for (;;) {
      const digit = ((value % 32) + 32) % 32;
      value = Math.floor(value / 32);
      const isLast = value === ((digit & 16) === 0 ? 0 : -1);
      counts += String.fromCharCode(FIRST_CODE + digit + (isLast ? 0 : MORE));
      if (isLast) {
        break;
      }
    }
  }
  return counts;
}

/** @throws RangeError for a character that cannot occur, a text that ends within a number, or a negative length. */
export function decodeRunLengths(counts: string): number[] {
  const lengths: number[] = [];
  let value = 0;
  let scale = 1;
  for (let at = 0; at < counts.length; at++) {
    const code = counts.charCodeAt(at) - FIRST_CODE;
    if (code < 0 || code >= 2 * MORE) {
      throw new RangeError(`run lengths: character ${at} is ${JSON.stringify(counts[at])}`);
    }
    value += (code & 31) * scale;
    scale *= 32;
    if ((code & MORE) !== 0) {
      continue;
    }
    const length = ((code & 16) === 0 ? value : value - scale) + (lengths.length > 2 ? (lengths.at(-2) ?? 0) : 0);
    if (!(length >= 0 && length <= Number.MAX_SAFE_INTEGER)) {
      throw new RangeError(`run lengths: run ${lengths.length} would be ${length} long`);
    }
    lengths.push(length);
    value = 0;
    scale = 1;
  }
  if (scale !== 1) {
    throw new RangeError('run lengths: the text ends within a number');
  }
  return lengths;
}

/**
 * The mask as `height * width` bytes of 0 and 1, row by row.
 * @throws RangeError for malformed counts, or such as do not fill the mask.
 */
export function decodeMask({ height, width, counts }: RunLengthMask): Uint8Array {
  const lengths = decodeRunLengths(counts);
  const total = lengths.reduce((sum, length) => sum + length, 0);
  if (total !== height * width) {
    throw new RangeError(`run lengths: ${total} pixels for a mask of ${width} x ${height}`);
  }
  const mask = new Uint8Array(total);
  let position = 0;
  for (const [index, length] of lengths.entries()) {
    if (index % 2 === 1) {
      for (let at = position; at < position + length; at++) {
        mask[(at % height) * width + Math.floor(at / height)] = 1;
      }
    }
    position += length;
  }
  return mask;
}
