import type { Point } from './flake-shapes.ts';
import type { Sample, Terrace } from './sample.ts';

/** A flake as the service reports it. */
export interface FoundFlake {
  readonly layers: number;
  readonly areaPx: number;
  readonly areaUm2: number;
  readonly centre: Point;
  /** Its mask: run lengths of the whole picture, column by column, first pixels outside, then inside, and so on. */
  readonly runs: readonly number[];
}

/** What a prediction should find, and how exactly. */
export interface Expectation {
  /** Layer counts the classifier has a class for. */
  readonly layers: readonly number[];
  /** Smaller terraces are not to be reported. */
  readonly sizeThresholdPx: number;
  readonly umPerPx: number;
  readonly minIou: number;
  readonly maxCentreErrorPx: number;
}

/** A terrace that was to be found. `found` is undefined where it was missed; `problems` is empty where all agrees. */
export interface Match {
  readonly terrace: Terrace;
  readonly found: FoundFlake | undefined;
  /** Pixels in both masks as a share of pixels in either. */
  readonly iou: number;
  readonly centreErrorPx: number;
  readonly problems: readonly string[];
}

export interface Comparison {
  readonly matches: readonly Match[];
  /** Put in, and rightly not reported: too small, or of a thickness without a class. */
  readonly passedOver: readonly Terrace[];
  /** Every disagreement, one sentence each. */
  readonly problems: readonly string[];
}

/**
 * Compares what was found with what was put in: each terrace that is large enough and has a class must be found once, in its
 * place and with its layers, and nothing else may be. A found flake belongs to the terrace whose mask it shares most with.
 */
export function compareFlakes(sample: Sample, found: readonly FoundFlake[], expectation: Expectation): Comparison {
  const isWanted = (terrace: Terrace): boolean =>
    terrace.areaPx >= expectation.sizeThresholdPx && expectation.layers.includes(terrace.layers);
  const wanted = sample.terraces.filter(isWanted);
  const candidates = found.map((flake) => ({ flake, ...bestTerrace(sample, flake) })).sort((a, b) => b.iou - a.iou);
  const matches = wanted.map((terrace) => {
    const best = candidates.find((candidate) => candidate.terrace === terrace);
    return match(terrace, best?.flake, best?.iou ?? 0, expectation);
  });
  const matched = new Set(matches.map((entry) => entry.found));
  const extras = candidates.filter(({ flake }) => !matched.has(flake));
  const problems = [
    ...(wanted.length === 0 ? ['no flake was put in that could be found'] : []),
    ...matches.flatMap((entry) => entry.problems),
    ...extras.map(({ flake, terrace }) => describeExtra(flake, terrace)),
    ...found.flatMap((flake) => checkArea(flake, expectation.umPerPx)),
  ];
  return { matches, passedOver: sample.terraces.filter((terrace) => !isWanted(terrace)), problems };
}

function match(terrace: Terrace, found: FoundFlake | undefined, iou: number, expectation: Expectation): Match {
  const name = `flake ${terrace.number} (${terrace.layers} layers at ${place(terrace.centre)})`;
  if (found === undefined) {
    return { terrace, found, iou: 0, centreErrorPx: Number.NaN, problems: [`${name} was not found`] };
  }
  const centreErrorPx = Math.hypot(found.centre.x - terrace.centre.x, found.centre.y - terrace.centre.y);
  const problems = [
    ...(found.layers === terrace.layers ? [] : [`${name} was found with ${found.layers} layers`]),
    ...(iou >= expectation.minIou ? [] : [`${name}: the masks' overlap is ${iou.toFixed(2)}, expected ${expectation.minIou}`]),
    ...(centreErrorPx <= expectation.maxCentreErrorPx
      ? []
      : [`${name} was found at ${place(found.centre)}, ${centreErrorPx.toFixed(1)} pixels off`]),
  ];
  return { terrace, found, iou, centreErrorPx, problems };
}

/** The area in pixels must be that of the mask, the area in um^2 that of so many pixels. */
function checkArea({ layers, centre, areaPx, areaUm2, runs }: FoundFlake, umPerPx: number): string[] {
  const maskPx = runs.reduce((sum, length, index) => sum + (index % 2 === 1 ? length : 0), 0);
  const name = `the reported flake of ${layers} layers at ${place(centre)}`;
  return [
    ...(maskPx === areaPx ? [] : [`${name} is said to have ${areaPx} pixels, its mask has ${maskPx}`]),
    ...(Math.abs(areaUm2 / (areaPx * umPerPx ** 2) - 1) < 1e-9
      ? []
      : [`${name} of ${areaPx} pixels is said to have ${areaUm2} um2`]),
  ];
}

function describeExtra(flake: FoundFlake, terrace: Terrace | undefined): string {
  const what = `a flake of ${flake.layers} layers was reported at ${place(flake.centre)}`;
  return terrace === undefined
    ? `${what}, where nothing was put in`
    : `${what}, on flake ${terrace.number} (${terrace.layers} layers, ${terrace.areaPx} pixels)`;
}

function place({ x, y }: Point): string {
  return `${x.toFixed(0)}, ${y.toFixed(0)}`;
}

function bestTerrace(sample: Sample, { runs }: FoundFlake): { terrace: Terrace | undefined; iou: number } {
  const { width, height, terraceMap, terraces } = sample;
  const shared = new Map<number, number>();
  let inside = 0;
  let start = 0;
  for (const [index, length] of runs.entries()) {
    // Odd runs are inside; place p of the column-major order is column p / height, row p % height.
    const begin = index % 2 === 1 ? start : start + length;
    start += length;
    for (let at = begin; at < start; at += 1) {
      const number = terraceMap[(at % height) * width + Math.floor(at / height)] ?? 0;
      shared.set(number, (shared.get(number) ?? 0) + 1);
      inside += 1;
    }
  }
  let best: { terrace: Terrace | undefined; iou: number } = { terrace: undefined, iou: 0 };
  for (const terrace of terraces) {
    const both = shared.get(terrace.number) ?? 0;
    const iou = both / (inside + terrace.areaPx - both);
    if (iou > best.iou) {
      best = { terrace, iou };
    }
  }
  return best;
}
