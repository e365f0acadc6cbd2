import { Stage, type Summary } from '../../proto/gen/maskterial/inference/v1/inference_service.ts';
import type { GaussianClass } from './classifier.ts';
import type { Comparison, Match } from './compare.ts';
import type { Point } from './flake-shapes.ts';

const COLUMNS = [
  ['flake', 5],
  ['layers', 6],
  ['found', 6],
  ['area um2', 9],
  ['found', 9],
  ['centre px', 14],
  ['found', 14],
  ['overlap', 8],
  ['', 10],
] as const;

/** The table of what was put in against what was found, one line an entry. */
export function formatComparison({ matches, passedOver }: Comparison, umPerPx: number): string[] {
  const rows = matches.map((match) => formatMatch(match, umPerPx));
  const others = passedOver.map(
    ({ layers, areaPx }) => `${layers} layer${layers === 1 ? '' : 's'} of ${(areaPx * umPerPx ** 2).toFixed(0)} um2`,
  );
  return [
    formatRow(COLUMNS.map(([title]) => title)),
    ...rows.map(formatRow),
    ...(others.length === 0
      ? []
      : ['', `Put in and rightly not reported (too small, or a thickness the model does not know): ${others.join(', ')}.`]),
  ];
}

/** Each class's mean and standard deviation, one line a class. */
export function formatClassifier(classes: Readonly<Record<string, GaussianClass>>): string[] {
  return Object.entries(classes).map(([layers, { contrast, covariance_matrix: rows }]) => {
    const channels = [
      { name: 'b', mean: contrast.b, variance: rows[0][0] },
      { name: 'g', mean: contrast.g, variance: rows[1][1] },
      { name: 'r', mean: contrast.r, variance: rows[2][2] },
    ];
    const cells = channels.map(({ name, mean, variance }) => `${name} ${mean.toFixed(3)} +- ${Math.sqrt(variance).toFixed(3)}`);
    return `${layers} layer${layers === '1' ? ' ' : 's'}  ${cells.join('   ')}`;
  });
}

/** How much was found, by what, and where the time went. */
export function formatPrediction({ flakeCount, models, timings }: Summary): string {
  const stages = timings.map(({ stage, duration }) => ({
    name: STAGE_NAMES[stage],
    ms: 1000 * (duration?.seconds ?? 0) + (duration?.nanos ?? 0) / 1e6,
  }));
  const total = stages.reduce((sum, { ms }) => sum + ms, 0);
  const split = stages.map(({ name, ms }) => `${name ?? 'other'} ${ms.toFixed(0)}`).join(', ');
  const by = models.map(({ model, version, manifestDigest }) => `${model}:${version} ${manifestDigest}`).join(', ');
  return `${flakeCount} flakes by ${by} in ${total.toFixed(0)} ms (${split})`;
}

const STAGE_NAMES: Readonly<Partial<Record<Stage, string>>> = {
  [Stage.STAGE_QUEUE]: 'queue',
  [Stage.STAGE_DECODE]: 'decode',
  [Stage.STAGE_COLOURS]: 'colours',
  [Stage.STAGE_CLASSIFY]: 'classify',
  [Stage.STAGE_CLASS_MAP]: 'class map',
  [Stage.STAGE_GEOMETRY]: 'geometry',
};

function formatMatch({ terrace, found, iou, problems }: Match, umPerPx: number): string[] {
  return [
    String(terrace.number),
    String(terrace.layers),
    found === undefined ? '-' : String(found.layers),
    (terrace.areaPx * umPerPx ** 2).toFixed(1),
    found === undefined ? '-' : found.areaUm2.toFixed(1),
    formatPoint(terrace.centre),
    found === undefined ? '-' : formatPoint(found.centre),
    found === undefined ? '-' : iou.toFixed(3),
    problems.length === 0 ? 'agrees' : 'DISAGREES',
  ];
}

function formatRow(cells: readonly string[]): string {
  return COLUMNS.map(([, width], index) => (cells[index] ?? '').padStart(width))
    .join(' ')
    .trimEnd();
}

function formatPoint({ x, y }: Point): string {
  return `${x.toFixed(1)}, ${y.toFixed(1)}`;
}
