import type { BlobRef } from '../proto/gen/maskterial/registry/v1/artifact.ts';
import type { Version } from '../proto/gen/maskterial/registry/v1/model.ts';
import { Hasher } from '../proto/wire/digest.ts';
import { isServiceError, type ServiceError } from '../proto/wire/errors.ts';
import type { RegistryClient } from './registry-client.ts';

export interface VerifiedVersion {
  readonly version: Version;
  readonly findings: readonly Finding[];
  /** What was read for this version; a blob that an earlier one has too is read once. */
  readonly readBytes: number;
}

/** A stored file that is not what the registry says it is. */
export interface Finding {
  /** Of the artifact; the manifest has none. */
  readonly path: string | undefined;
  readonly digest: string;
  readonly problem: string;
}

/**
 * Reads every blob of every version of a model through the registry and hashes it here; versions that are deleted meanwhile are
 * left out.
 * @throws ServiceError as the registry's calls do, but for what is wrong with a blob: that is a finding.
 */
export async function* verifyModel(
  registry: RegistryClient,
  model: string,
  known: Map<string, string | undefined>,
  signal: AbortSignal,
): AsyncGenerator<VerifiedVersion> {
  for await (const version of registry.listVersions(model, { signal })) {
    const findings: Finding[] = [];
    let readBytes = 0;
    for (const { path, blob } of [{ path: undefined, blob: version.manifest }, ...version.artifacts]) {
      const { digest = '', sizeBytes = 0n } = blob ?? {};
      if (!known.has(digest)) {
        known.set(digest, await problemOf(registry, { digest, sizeBytes }, signal));
        readBytes += Number(sizeBytes);
      }
      const problem = known.get(digest);
      if (problem !== undefined) {
        findings.push({ path, digest, problem });
      }
    }
    if (findings.length === 0 || (await isStillThere(registry, version, signal))) {
      yield { version, findings, readBytes };
    }
  }
}

/** Undefined for a blob that is there and right. */
async function problemOf(registry: RegistryClient, blob: BlobRef, signal: AbortSignal): Promise<string | undefined> {
  const hasher = new Hasher();
  try {
    for await (const bytes of registry.readBlob(blob, { signal })) {
      hasher.update(bytes);
    }
  } catch (error) {
    if (isAboutBlob(error)) {
      return `${error.message} [${error.reason}]`;
    }
    throw error;
  }
  const found = hasher.finish();
  return found.digest === blob.digest && found.sizeBytes === Number(blob.sizeBytes)
    ? undefined
    : `read as ${found.digest} of ${found.sizeBytes} bytes, expected ${blob.sizeBytes} [DIGEST_MISMATCH]`;
}

function isAboutBlob(error: unknown): error is ServiceError {
  return isServiceError(error, 'data-loss') || isServiceError(error, 'not-found');
}

async function isStillThere(registry: RegistryClient, { model, version }: Version, signal: AbortSignal): Promise<boolean> {
  try {
    await registry.getVersion(model, version, { signal });
    return true;
  } catch (error) {
    if (isServiceError(error, 'not-found')) {
      return false;
    }
    throw error;
  }
}
