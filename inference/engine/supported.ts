import { ServiceError } from '../../proto/wire/errors.ts';
import type { Manifest } from '../../proto/wire/manifest.ts';
import { weigh } from './heavy-model.ts';

const CONTRACTS: ReadonlySet<Manifest['contract']> = new Set([
  'pixel-classifier.v1',
  'mask2former-segmenter.v1',
  'shape-classifier.v1',
]);

/**
 * Asked before any byte of it is fetched. `heavyMemoryBytes`: what all heavy models may take; unset is no limit. `warmUpPixels`: of
 * the picture that they are warmed up with.
 * @throws ServiceError failed-precondition UNSUPPORTED_MODEL when the engines of this release cannot run it; failed-precondition
 * INSUFFICIENT_MEMORY when it could not run here even if it were the only heavy model.
 */
export function checkSupported(
  manifest: Manifest,
  label: string,
  heavyMemoryBytes = Number.POSITIVE_INFINITY,
  warmUpPixels?: number,
): void {
  const { contract, kind, family } = manifest;
  if (!CONTRACTS.has(contract)) {
    throw new ServiceError(
      'failed-precondition',
      'UNSUPPORTED_MODEL',
      `${label}: this release runs ${[...CONTRACTS].join(', ')} models, found ${contract} (${[kind, family].join(' ').trim()})`,
    );
  }
  const peak = weigh(manifest, warmUpPixels);
  if (peak > heavyMemoryBytes) {
    throw new ServiceError(
      'failed-precondition',
      'INSUFFICIENT_MEMORY',
      `${label} takes ${peak} bytes at its peak, this server has ${heavyMemoryBytes} for such models`,
      { metadata: { needed_bytes: String(peak), allowed_bytes: String(heavyMemoryBytes) } },
    );
  }
}
