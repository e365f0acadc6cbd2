import { ServiceError } from '../../proto/wire/errors.ts';
import type { Manifest } from '../../proto/wire/manifest.ts';

const CONTRACTS: ReadonlySet<Manifest['contract']> = new Set([
  'pixel-classifier.v1',
  'mask2former-segmenter.v1',
  'shape-classifier.v1',
]);

/** @throws ServiceError failed-precondition UNSUPPORTED_MODEL when the engines of this release cannot run it. */
export function checkSupported({ contract, kind, family }: Manifest, label: string): void {
  if (!CONTRACTS.has(contract)) {
    throw new ServiceError(
      'failed-precondition',
      'UNSUPPORTED_MODEL',
      `${label}: this release runs ${[...CONTRACTS].join(', ')} models, found ${contract} (${[kind, family].join(' ').trim()})`,
    );
  }
}
