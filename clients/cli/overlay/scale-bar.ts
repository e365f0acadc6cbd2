export interface ScaleBar {
  readonly lengthPx: number;
  readonly label: string;
}

/** The longest bar of a round length (1, 2 or 5 times a power of ten) that is at most `maxPx` wide. Pixels where no scale is known. */
export function chooseScaleBar(maxPx: number, umPerPx: number | undefined): ScaleBar {
  const unitsPerPx = umPerPx ?? 1;
  const most = maxPx * unitsPerPx;
  const decade = 10 ** Math.floor(Math.log10(most));
  const factor = [5, 2].find((candidate) => candidate * decade <= most) ?? 1;
  // Through text, so that 5 * 0.1 does not become 0.5000000000000001.
  const length = Number((factor * decade).toPrecision(1));
  return { lengthPx: length / unitsPerPx, label: `${length} ${umPerPx === undefined ? 'px' : '\u00b5m'}` };
}
