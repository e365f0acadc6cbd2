import { Stage, type Summary } from '../../proto/gen/maskterial/inference/v1/inference_service.ts';
import { nameOf } from '../cli/enum-names.ts';
import { formatTable } from '../cli/table.ts';
import type { GaussianClass } from './classifier.ts';
import type { Comparison, Match } from './compare.ts';
import type { Point } from './flake-shapes.ts';

/** The table of what was put in against what was found. */
export function formatComparison({ matches, passedOver }: Comparison, umPerPx: number): string {
  const columns = ['flake', 'layers', 'found', 'area um2', 'found', 'centre px', 'found', 'overlap', ''];
  const table = formatTable(
    columns.map((title) => ({ title, align: 'right' })),
    matches.map((match) => formatMatch(match, umPerPx)),
  );
  const others = passedOver.map(
    ({ layers, areaPx }) => `${layers} layer${layers === 1 ? '' : 's'} of ${(areaPx * umPerPx ** 2).toFixed(0)} um2`,
  );
  return others.length === 0
    ? table
    : `${table}\nPut in as well, and not to be reported (too small, or a thickness without a class): ${others.join(', ')}.\n`;
}

/** Each class's mean contrast and its standard deviation, one line a class. */
export function formatClassifier(classes: Readonly<Record<string, GaussianClass>>, indent: string): string {
  const columns = ['layers', 'b', '', 'g', '', 'r', ''].map((title) => ({ title, align: 'right' as const }));
  const rows = Object.entries(classes).map(([layers, { contrast, covariance_matrix: covariance }]) => {
    const means = [contrast.b, contrast.g, contrast.r];
    const variances = [covariance[0][0], covariance[1][1], covariance[2][2]];
    return [
      layers,
      ...means.flatMap((mean, index) => [mean.toFixed(3), `\u00b1 ${Math.sqrt(variances[index] ?? 0).toFixed(3)}`]),
    ];
  });
  return formatTable(columns, rows, indent);
}

/** How much was found, by which version, and where the time went. */
export function formatPrediction({ flakeCount, models, timings }: Summary): string {
  const stages = timings.map(({ stage, duration }) => ({
    name: nameOf(Stage, 'STAGE_', stage).replaceAll('_', ' '),
    ms: Number(duration?.seconds ?? 0) * 1000 + (duration?.nanos ?? 0) / 1e6,
  }));
  const total = stages.reduce((sum, { ms }) => sum + ms, 0);
  const split = stages.map(({ name, ms }) => `${name} ${ms.toFixed(0)}`).join(', ');
  const by = models.map(({ model, version, manifestDigest }) => `${model}:${version} ${manifestDigest}`).join(', ');
  return `${flakeCount} flakes by ${by} in ${total.toFixed(0)} ms (${split})`;
}

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

function formatPoint({ x, y }: Point): string {
  return `${x.toFixed(1)}, ${y.toFixed(1)}`;
}
