import type { Alias, AliasAction, AliasEvent, Model, Version } from '../../proto/gen/maskterial/registry/v1/model.ts';
import { ServiceError } from '../../proto/wire/errors.ts';

interface AliasMove {
  readonly alias: string;
  readonly actor: string;
  readonly reason: string;
  readonly expectedRevision?: number | undefined;
}

/** Points an alias of a fake registry's model at a version. @throws ServiceError aborted REVISION_CONFLICT. */
export function moveAlias(
  model: Model,
  { alias: name, actor, reason, expectedRevision }: AliasMove,
  { version, manifest }: Pick<Version, 'version' | 'manifest'>,
  action: AliasAction,
  time: Date,
): { readonly alias: Alias; readonly event: AliasEvent } {
  const before = model.aliases.find(({ alias }) => alias === name);
  const current = before?.revision ?? 0;
  if (expectedRevision !== undefined && expectedRevision !== current) {
    const metadata = { current_revision: String(current) };
    throw new ServiceError('aborted', 'REVISION_CONFLICT', `expected revision ${expectedRevision}, found ${current}`, {
      metadata,
    });
  }
  const revision = current + 1;
  const alias = { model: model.name, alias: name, version, revision, manifest, updateTime: time };
  model.aliases = [...model.aliases.filter((other) => other.alias !== name), alias];
  const fromVersion = before?.version ?? 0;
  const by = { name: actor, verified: false };
  const event = { model: model.name, alias: name, revision, action, fromVersion, toVersion: version, actor: by, reason, time };
  return { alias, event };
}
