import type { BlobRef } from '../proto/gen/maskterial/registry/v1/artifact.ts';
import type { Version } from '../proto/gen/maskterial/registry/v1/model.ts';
import { Hasher } from '../proto/wire/digest.ts';
import { isServiceError, type ServiceError } from '../proto/wire/errors.ts';
import { parseModelName } from '../proto/wire/names.ts';
import type { RegistryClient } from './registry-client.ts';

export interface VerifiedVersion {
  readonly version: Version;
  readonly findings: readonly Finding[];
  readonly notices: readonly Notice[];
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

/** A stored file that is right, but not where it was recorded: who looks there fetches it through the registry. */
export interface Notice extends Pick<Finding, 'path' | 'digest'> {
  readonly notice: string;
}

/** What reading a blob showed. */
export interface Verdict {
  /** Undefined for a blob that is there and right. */
  readonly problem?: string;
  readonly notice?: string;
}

/**
 * Reads every blob of every version of a model through the registry and hashes it here; versions that are deleted meanwhile are
 * left out.
 * @throws ServiceError as the registry's calls do, but for what is wrong with a blob: that is a finding.
 */
export async function* verifyModel(
  registry: RegistryClient,
  model: string,
  known: Map<string, Verdict>,
  signal: AbortSignal,
): AsyncGenerator<VerifiedVersion> {
  for await (const version of registry.listVersions(model, { signal })) {
    const objects = await objectVersions(registry, version, signal);
    const findings: Finding[] = [];
    const notices: Notice[] = [];
    let readBytes = 0;
    for (const { path, blob } of [{ path: undefined, blob: version.manifest }, ...version.artifacts]) {
      const { digest = '', sizeBytes = 0n } = blob ?? {};
      const objectVersion = objects.get(digest) ?? '';
      const key = `${digest} ${objectVersion}`;
      let verdict = known.get(key);
      if (verdict === undefined) {
        verdict = await judge(registry, { digest, sizeBytes }, objectVersion, signal);
        known.set(key, verdict);
        readBytes += Number(sizeBytes);
      }
      const { problem, notice } = verdict;
      if (problem !== undefined) {
        findings.push({ path, digest, problem });
      }
      if (notice !== undefined) {
        notices.push({ path, digest, notice });
      }
    }
    if (findings.length === 0 || (await isStillThere(registry, version, signal))) {
      yield { version, findings, notices, readBytes };
    }
  }
}

/**
 * Of each blob that lies in S3, the object version that was recorded when the version was finalized: what inference servers fetch.
 * Where its manifest cannot be read, that is a finding, and the others are read as they are stored now.
 */
async function objectVersions(
  registry: RegistryClient,
  { model, version }: Version,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string>> {
  const objects = new Map<string, string>();
  try {
    const reference = { model: parseModelName(model, 'model'), selector: { kind: 'version', version } } as const;
    for (const { digest, locations } of (await registry.resolve(reference, { signal })).locations) {
      for (const { place } of locations) {
        if (place?.$case === 's3') {
          objects.set(digest, place.value.versionId);
        }
      }
    }
  } catch (error) {
    if (!isAboutBlob(error)) {
      throw error;
    }
  }
  return objects;
}

/** What was damaged and uploaded again is stored as another object version than the one that its versions keep. */
async function judge(registry: RegistryClient, blob: BlobRef, objectVersion: string, signal: AbortSignal): Promise<Verdict> {
  const problem = await problemOf(registry, blob, objectVersion, signal);
  if (problem === undefined) {
    return {};
  }
  if (objectVersion !== '' && (await problemOf(registry, blob, '', signal)) === undefined) {
    return { notice: `the recorded object version is ${problem.state}; what is stored now is right` };
  }
  return { problem: problem.text };
}

interface Problem {
  readonly text: string;
  readonly state: 'gone' | 'archived' | 'damaged';
}

/** Undefined for a blob that is there and right. */
async function problemOf(
  registry: RegistryClient,
  blob: BlobRef,
  objectVersion: string,
  signal: AbortSignal,
): Promise<Problem | undefined> {
  const hasher = new Hasher();
  try {
    for await (const bytes of registry.readBlob(blob, { objectVersion, signal })) {
      hasher.update(bytes);
    }
  } catch (error) {
    if (isAboutBlob(error)) {
      const state = error.kind === 'not-found' ? 'gone' : error.reason === 'BLOB_ARCHIVED' ? 'archived' : 'damaged';
      return { text: `${error.message} [${error.reason}]`, state };
    }
    throw error;
  }
  const found = hasher.finish();
  if (found.digest === blob.digest && found.sizeBytes === Number(blob.sizeBytes)) {
    return undefined;
  }
  const text = `read as ${found.digest} of ${found.sizeBytes} bytes, expected ${blob.sizeBytes} [DIGEST_MISMATCH]`;
  return { text, state: 'damaged' };
}

function isAboutBlob(error: unknown): error is ServiceError {
  return isServiceError(error) && (['data-loss', 'not-found'].includes(error.kind) || error.reason === 'BLOB_ARCHIVED');
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
