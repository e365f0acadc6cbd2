/** One query's mask at the image's own size, and its score. */
export interface Instance {
  readonly score: number;
  /** 0 or 1 for each pixel, row by row. */
  readonly mask: Uint8Array;
}

interface Size {
  readonly height: number;
  readonly width: number;
}

/**
 * From logits to an instance: the mask four times enlarged, bilinear, cut to the image; set where above 0; the score is the flake's
 * share of the class times the mean sigmoid of the set pixels.
 */
export function instanceOf(classLogits: ArrayLike<number>, maskLogits: Float32Array, small: Size, image: Size): Instance {
  const mask = new Uint8Array(image.height * image.width);
  const rows = sourcesOf(small.height, image.height);
  const columns = sourcesOf(small.width, image.width);
  const line = new Float64Array(small.width);
  let count = 0;
  let sum = 0;
  for (let y = 0; y < image.height; y += 1) {
    blendRows(line, maskLogits, rows, y);
    for (let x = 0; x < image.width; x += 1) {
      const share = columns.share[x] ?? 0;
      const value = (line[columns.low[x] ?? 0] ?? 0) * (1 - share) + (line[columns.high[x] ?? 0] ?? 0) * share;
      if (value > 0) {
        mask[y * image.width + x] = 1;
        count += 1;
        sum += 1 / (1 + Math.exp(-value));
      }
    }
  }
  const [flake = 0, none = 0] = [classLogits[0], classLogits[1]];
  return { score: (1 / (1 + Math.exp(none - flake))) * (sum / (count + 1e-6)), mask };
}

interface Sources {
  readonly low: Int32Array;
  readonly high: Int32Array;
  /** Of the high one. */
  readonly share: Float64Array;
}

/** Row `y` of the mask enlarged downwards only. */
function blendRows(line: Float64Array, mask: Float32Array, rows: Sources, y: number): void {
  const share = rows.share[y] ?? 0;
  const top = (rows.low[y] ?? 0) * line.length;
  const bottom = (rows.high[y] ?? 0) * line.length;
  for (let x = 0; x < line.length; x += 1) {
    line[x] = (mask[top + x] ?? 0) * (1 - share) + (mask[bottom + x] ?? 0) * share;
  }
}

function sourcesOf(from: number, to: number): Sources {
  const position = (index: number): number => Math.max(0, (index + 0.5) / 4 - 0.5);
  const low = Int32Array.from({ length: to }, (_, index) => Math.min(from - 1, Math.floor(position(index))));
  return {
    low,
    high: low.map((index) => Math.min(from - 1, index + 1)),
    share: Float64Array.from(low, (index, at) => position(at) - index),
  };
}
