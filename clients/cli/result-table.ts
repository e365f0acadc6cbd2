import type { Flake } from '../../proto/gen/maskterial/inference/v1/flake.ts';
import type { Answer } from '../prediction.ts';
import { groupByLayer } from './layers.ts';
import { formatArea, formatCount, formatNumber, formatVersion } from './result-words.ts';
import { type Column, formatTable, printable } from './table.ts';

/** One image's flakes for people: grouped by layer with counts and total areas; lengths in um where a scale is known. */
export function resultTable(image: string, { flakes, summary }: Answer): string {
  const { imageWidth, imageHeight, models, umPerPx } = summary;
  const heading = [
    printable(image),
    `${imageWidth} x ${imageHeight} px`,
    formatCount(flakes.length, 'flake'),
    ...models.map((model) => formatVersion(model) + (model.alias === '' ? '' : ` (${model.alias})`)),
  ].join('  ');
  const isScaled = umPerPx !== undefined;
  const groups = groupByLayer(flakes).map(
    ({ layerName, flakes: members, areaPx, areaUm2 }) =>
      `  ${printable(layerName)}: ${formatCount(members.length, 'flake')}, ${formatArea(areaPx, areaUm2)}\n` +
      formatTable(
        columnsOf(isScaled),
        members.map((flake) => rowOf(flake, isScaled)),
        '    ',
      ),
  );
  return `${heading}\n${groups.join('')}`;
}

function columnsOf(isScaled: boolean): Column[] {
  const unit = isScaled ? '\u00b5m' : 'px';
  return [
    { title: 'flake', align: 'right' },
    { title: isScaled ? 'area \u00b5m\u00b2' : 'area px', align: 'right' },
    { title: 'centre px', align: 'right' },
    { title: `sides ${unit}`, align: 'right' },
    { title: 'score', align: 'right' },
  ];
}

function rowOf(flake: Flake, isScaled: boolean): string[] {
  const { centre } = flake;
  const area = isScaled && flake.areaUm2 !== undefined ? formatNumber(flake.areaUm2) : String(flake.areaPx);
  const sides =
    isScaled && flake.maxSideUm !== undefined ? [flake.maxSideUm, flake.minSideUm ?? 0] : [flake.maxSidePx, flake.minSidePx];
  return [
    String(flake.index),
    area,
    centre === undefined ? '' : `${centre.x.toFixed(1)}, ${centre.y.toFixed(1)}`,
    sides.map((side) => side.toFixed(1)).join(' x '),
    flake.score.toFixed(3),
  ];
}
