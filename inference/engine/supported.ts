import { ServiceError } from '../../proto/wire/errors.ts';
import type { Manifest } from '../../proto/wire/manifest.ts';

/** @throws ServiceError failed-precondition UNSUPPORTED_MODEL when the engines of this release cannot run it. */
export function checkSupported({ contract, kind, family }: Manifest, label: string): void {
  if (contract !== 'pixel-classifier.v1') {
    throw new ServiceError(
      'failed-precondition',
      'UNSUPPORTED_MODEL',
      `${label}: this release runs pixel-classifier.v1 models, found ${contract} (${[kind, family].join(' ').trim()})`,
    );
  }
}
