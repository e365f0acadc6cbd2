import type { UsedModel } from '../../proto/gen/maskterial/inference/v1/inference_service.ts';

/** `1 flake`, `3 flakes`. */
export function formatCount(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** In um^2 where a scale is known, else in pixels. */
export function formatArea(areaPx: number, areaUm2: number | undefined): string {
  return areaUm2 === undefined ? `${areaPx} px` : `${formatNumber(areaUm2)} \u00b5m\u00b2`;
}

/** Four significant digits for small numbers, no decimals from 1000 on. */
export function formatNumber(value: number): string {
  return Math.abs(value) >= 1000 ? value.toFixed(0) : String(Number(value.toPrecision(4)));
}

/** `NAME:version`, the exact version and not the alias it was asked by. */
export function formatVersion({ model, version }: Pick<UsedModel, 'model' | 'version'>): string {
  return `${model}:${version}`;
}
