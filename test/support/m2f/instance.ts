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
  let count = 0;
  let sum = 0;
  rows.forEach(({ low: top, high: bottom, share: down }, y) => {
    columns.forEach(({ low: left, high: right, share: across }, x) => {
      const at = (row: number, column: number): number => maskLogits[row * small.width + column] ?? 0;
      const above = at(top, left) * (1 - across) + at(top, right) * across;
      const below = at(bottom, left) * (1 - across) + at(bottom, right) * across;
      const value = above * (1 - down) + below * down;
      if (value > 0) {
        mask[y * image.width + x] = 1;
        count += 1;
        sum += 1 / (1 + Math.exp(-value));
      }
    });
  });
  const [flake = 0, none = 0] = [classLogits[0], classLogits[1]];
  return { score: (1 / (1 + Math.exp(none - flake))) * (sum / (count + 1e-6)), mask };
}

function sourcesOf(from: number, to: number): { low: number; high: number; share: number }[] {
  return Array.from({ length: to }, (_, index) => {
    const position = Math.max(0, (index + 0.5) / 4 - 0.5);
    const low = Math.min(from - 1, Math.floor(position));
    return { low, high: Math.min(from - 1, low + 1), share: position - low };
  });
}
