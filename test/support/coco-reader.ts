/**
 * COCO's compressed run lengths, decoded as `rleFrString` of COCO's own C code does it, step by step and with its 32-bit shifts;
 * for tests, and with nothing in common with the code under test.
 */
export function runsOf(text: string): number[] {
  const counts: number[] = [];
  let p = 0;
  while (p < text.length) {
    let x = 0;
    let k = 0;
    let more = true;
    while (more) {
      const c = text.charCodeAt(p) - 48;
      x |= (c & 0x1f) << (5 * k);
      more = (c & 0x20) !== 0;
      p += 1;
      k += 1;
      if (!more && (c & 0x10) !== 0) {
        x |= -1 << (5 * k);
      }
    }
    if (counts.length > 2) {
      x += counts[counts.length - 2] ?? 0;
    }
    counts.push(x);
  }
  return counts;
}

/** Where the mask is set, as `x,y`: runs go down the columns, zeros first. */
export function pixelsOf(counts: string, height: number): Set<string> {
  const pixels = new Set<string>();
  let at = 0;
  for (const [index, run] of runsOf(counts).entries()) {
    for (let step = 0; step < run; step += 1) {
      if (index % 2 === 1) {
        pixels.add(`${Math.floor(at / height)},${at % height}`);
      }
      at += 1;
    }
  }
  return pixels;
}

/** Area and box of a compressed mask, as pycocotools' `area` and `toBbox` give them. */
export function measure(counts: string, height: number): { readonly area: number; readonly box: readonly number[] } {
  const points = [...pixelsOf(counts, height)].map((pixel) => pixel.split(',').map(Number));
  const xs = points.map(([x = 0]) => x);
  const ys = points.map(([, y = 0]) => y);
  const [left, top] = [Math.min(...xs), Math.min(...ys)];
  return { area: points.length, box: [left, top, Math.max(...xs) - left + 1, Math.max(...ys) - top + 1] };
}
