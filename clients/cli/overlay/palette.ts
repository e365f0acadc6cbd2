/**
 * Colours that people with any common colour vision tell apart: Okabe and Ito, "Color Universal Design" (2008), without black, in an
 * order that keeps neighbours in layer count far apart.
 */
const COLOURS = ['#E69F00', '#56B4E9', '#009E73', '#F0E442', '#CC79A7', '#0072B2', '#D55E00'] as const;

/** The line of a class. Classes past the palette repeat its colours with dashes. */
export interface LineStyle {
  readonly colour: string;
  readonly isDashed: boolean;
}

/** `classIndex` is 1 or more. */
export function lineStyle(classIndex: number): LineStyle {
  const at = Math.max(0, classIndex - 1);
  return { colour: COLOURS[at % COLOURS.length] ?? COLOURS[0], isDashed: Math.floor(at / COLOURS.length) % 2 === 1 };
}
