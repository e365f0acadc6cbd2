import * as z from 'zod';
import { asDigest, type Digest } from '../../proto/wire/digest.ts';
import { type AliasName, asAliasName, asModelName, type ModelName } from '../../proto/wire/names.ts';

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
export function lastKnownFormat(servedSet: string): { readonly name: string; readonly version: number; readonly schema: typeof lastKnownSchema } {
  return { name: `last-known-${servedSet}`, version: 1, schema: lastKnownSchema };
}
