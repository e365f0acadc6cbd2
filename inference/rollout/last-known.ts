import * as z from 'zod';
import { asDigest, type Digest } from '../../proto/wire/digest.ts';
import { type AliasName, asAliasName, asModelName, type ModelName } from '../../proto/wire/names.ts';
import { aliasKey } from './alias-table.ts';
import type { DesiredAlias } from './model-source.ts';
import type { VersionKey } from './servable.ts';

/** The aliases that were served last, kept on disk so that a server starts while the registry is down. */
const lastKnownSchema = z.strictObject({
  aliases: z.array(
    z.strictObject({
      model: z.custom<ModelName>((value) => typeof value === 'string' && asModelName(value) !== undefined),
      alias: z.custom<AliasName>((value) => typeof value === 'string' && asAliasName(value) !== undefined),
      version: z.int().min(1),
      revision: z.int().min(0),
      manifest: z.strictObject({
        digest: z.custom<Digest>((value) => typeof value === 'string' && asDigest(value) !== undefined),
        sizeBytes: z.int().min(1),
      }),
    }),
  ),
});

export type LastKnown = z.infer<typeof lastKnownSchema>;

/** Servers that share a cache folder but serve different sets keep a document each: `servedSet` tells them apart. */
export function lastKnownFormat(servedSet: string): {
  readonly name: string;
  readonly version: number;
  readonly schema: typeof lastKnownSchema;
} {
  return { name: `last-known-${servedSet}`, version: 1, schema: lastKnownSchema };
}

/**
 * What to remember of the aliases that are served. One that still serves an older version is remembered at that one: it is the
 * one known to load. One that serves nothing yet is remembered too, for its version may well be in the cache.
 */
export function toLastKnown(aliases: readonly DesiredAlias[], servingOf: (key: string) => VersionKey | undefined): LastKnown {
  return {
    aliases: aliases.map(({ model, alias, version, revision, manifest }) => {
      const serving = servingOf(aliasKey(model, alias));
      return serving === undefined || (serving.version === version && serving.manifest.digest === manifest.digest)
        ? { model, alias, version, revision, manifest }
        : { model, alias, version: serving.version, revision: 0, manifest: serving.manifest };
    }),
  };
}
