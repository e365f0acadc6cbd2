import type { Manifest } from '../../proto/wire/manifest.ts';
import type { ModelName } from '../../proto/wire/names.ts';
import type { AliasState } from './alias.ts';
import type { Labels } from './labels.ts';

export type ModelKind = Manifest['kind'];

export const MAX_DESCRIPTION_LENGTH = 1000;

/** A named line of versions, as it is created. */
export interface ModelRecord {
  readonly name: ModelName;
  readonly kind: ModelKind;
  readonly description: string;
  readonly labels: Labels;
  readonly createTimeMs: number;
}

export interface Model extends ModelRecord {
  /** The newest finalized version; 0 when there is none. */
  readonly latestVersion: number;
  /** Ordered by alias. */
  readonly aliases: readonly AliasState[];
}
