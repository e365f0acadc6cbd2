import type { BlobRef as BlobRefMessage } from '../../../proto/gen/maskterial/registry/v1/artifact.ts';
import type { Alias as AliasMessage } from '../../../proto/gen/maskterial/registry/v1/model.ts';
import { type BlobRef, parseDigest } from '../../../proto/wire/digest.ts';
import { asAliasName, asModelName } from '../../../proto/wire/names.ts';
import type { AliasState } from '../../../registry/model/alias.ts';

export function toAlias(message: AliasMessage | undefined): AliasState {
  const { model, alias, version, revision, manifest, updateTime } = known(message);
  return {
    model: known(asModelName(model)),
    alias: known(asAliasName(alias)),
    version,
    revision,
    manifest: toRef(manifest),
    updateTimeMs: known(updateTime).getTime(),
    backRevision: 0,
  };
}

export function toRef(message: BlobRefMessage | undefined): BlobRef {
  const { digest, sizeBytes } = known(message);
  return { digest: parseDigest(digest, 'digest'), sizeBytes: Number(sizeBytes) };
}

export function known<T>(value: T | undefined): T {
  if (value === undefined) {
    throw new Error('the answer lacks a field that the contract promises');
  }
  return value;
}
