import { digestOf } from '../../proto/wire/digest.ts';
import { ServiceError } from '../../proto/wire/errors.ts';
import { parseManifest, servingArtifacts } from '../../proto/wire/manifest.ts';
import { formatReference, type ModelReference } from '../../proto/wire/names.ts';
import type { RegistryClient } from '../registry-client.ts';
import type { Publishable } from './publishable.ts';

/**
 * A version as the registry has it, with the files that servers fetch; each is read from the registry when it is asked for.
 * @throws ServiceError not-found as the registry does; data-loss DIGEST_MISMATCH for a manifest that is another one.
 */
export async function openPublished(
  registry: RegistryClient,
  reference: ModelReference,
  signal: AbortSignal,
): Promise<{ readonly label: string; readonly version: Publishable }> {
  const { version, manifestJson } = await registry.resolve(reference, { signal });
  const expected = version?.manifest?.digest;
  const found = digestOf(manifestJson);
  if (version === undefined || found !== expected) {
    const message = `manifest of ${formatReference(reference)}: expected ${expected ?? 'one'}, found ${found}`;
    throw new ServiceError('data-loss', 'DIGEST_MISMATCH', message);
  }
  const manifest = parseManifest(manifestJson);
  const files = servingArtifacts(manifest).map(({ path, digest, sizeBytes }) => {
    const ref = { digest, sizeBytes };
    return { path, ref, read: () => registry.readBlob({ digest, sizeBytes: BigInt(sizeBytes) }, { signal }) };
  });
  const publishable = {
    manifest,
    manifestBytes: manifestJson,
    files,
    suggestedName: version.model,
    close: async () => undefined,
  };
  return { label: `${version.model}:${version.version}`, version: publishable };
}
