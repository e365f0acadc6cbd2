import { type BlobRef, type Digest, refOf } from '../../../proto/wire/digest.ts';
import type { ErrorKind, ErrorReason } from '../../../proto/wire/errors.ts';
import type { ModelKind } from '../../../registry/model/model.ts';
import type { SampleVersion } from '../registry/sample-version.ts';

export type Labels = Readonly<Record<string, string>>;

export interface ReferenceVersion {
  readonly model: string;
  readonly version: number;
  readonly content: SampleVersion;
  readonly labels: Labels;
  readonly createTimeMs: number;
  deprecation: { readonly reason: string; readonly timeMs: number } | undefined;
}

export interface ReferenceEvent {
  readonly model: string;
  readonly alias: string;
  readonly revision: number;
  readonly action: 'promote' | 'rollback';
  readonly fromVersion: number;
  readonly version: number;
  /** Of the version's manifest. */
  readonly digest: Digest;
  readonly actor: string;
  readonly reason: string;
  readonly timeMs: number;
}

export interface ReferenceModel {
  readonly kind: ModelKind;
  readonly description: string;
  readonly labels: Labels;
  readonly createTimeMs: number;
  /** The number that was given last. */
  count: number;
  readonly versions: Map<number, ReferenceVersion>;
  readonly deleted: Set<number>;
  /** Where each alias pointed, one promotion after another; the last one is where it points. */
  readonly undo: Map<string, number[]>;
}

export interface ReferenceStaging {
  readonly model: string;
  readonly content: SampleVersion;
  readonly labels: Labels;
  readonly createTimeMs: number;
  /** The version it became; 0 while it is open. */
  version: number;
  isEnded: boolean;
}

/** What a registry refuses a call with. */
export class Refusal extends Error {
  readonly kind: ErrorKind;
  readonly reason: ErrorReason;
  readonly metadata: Readonly<Record<string, string>>;

  constructor(kind: ErrorKind, reason: ErrorReason, metadata: Readonly<Record<string, string>>) {
    super(`${kind} ${reason}`);
    this.kind = kind;
    this.reason = reason;
    this.metadata = metadata;
  }
}

export function refuse(kind: ErrorKind, reason: ErrorReason, metadata: Readonly<Record<string, string>> = {}): never {
  throw new Refusal(kind, reason, metadata);
}

/** The blobs of a content, its manifest first. */
export function blobsOf(content: SampleVersion): readonly BlobRef[] {
  return [refOf(content.manifestJson), ...filesOf(content)];
}

/** Without hashing files again, which may be large. */
export function filesOf({ manifest }: SampleVersion): readonly BlobRef[] {
  return manifest.artifacts.map(({ digest, sizeBytes }) => ({ digest, sizeBytes }));
}
