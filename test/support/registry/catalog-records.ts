import assert from 'node:assert/strict';
import { digestOf, refOf } from '../../../proto/wire/digest.ts';
import { type AliasName, asAliasName, asModelName, type ModelName } from '../../../proto/wire/names.ts';
import type { ModelRecord } from '../../../registry/model/model.ts';
import { draftOf, type Version, type VersionDraft } from '../../../registry/model/version.ts';
import type { RequestIdentity } from '../../../registry/release/catalog.ts';
import { smallVersion } from './sample-version.ts';

export function draftFor(model: ModelName, seed: string, labels: Record<string, string> = {}): VersionDraft {
  const { manifest, manifestJson } = smallVersion(seed);
  return draftOf(manifest, { model, manifest: refOf(manifestJson), labels, createTimeMs: 1234 });
}

export function record(name: string, labels: Record<string, string> = {}): ModelRecord {
  return { name: modelName(name), kind: 'classification', description: `about ${name}`, labels, createTimeMs: 1000 };
}

export function request(operation: RequestIdentity['operation'], id: string, subject = ''): RequestIdentity {
  return { operation, id, fingerprint: digestOf(Buffer.from(`${operation} ${id}`)), subject, isEffective: true };
}

export function targetOf({ model, version, manifest }: Version): Pick<Version, 'model' | 'version' | 'manifest'> {
  return { model, version, manifest };
}

export function modelName(text: string): ModelName {
  const name = asModelName(text);
  assert.ok(name !== undefined);
  return name;
}

export function aliasName(text: string): AliasName {
  const name = asAliasName(text);
  assert.ok(name !== undefined);
  return name;
}
