import { randomUUID } from 'node:crypto';
import type { Version } from '../proto/gen/maskterial/registry/v1/model.ts';
import type { RegistryServiceClient } from '../proto/gen/maskterial/registry/v1/registry_service.ts';
import { callUnary } from '../proto/wire/calls.ts';
import { type BlobRef, refOf } from '../proto/wire/digest.ts';
import { ServiceError } from '../proto/wire/errors.ts';
import type { Caller, ClientCallOptions } from './channel.ts';
import { DEFAULT_RETRY, isRetryable, type RetryDeps, retryDelay } from './retry.ts';
import { type MissingBlob, missingBlobs, missingBytes, type UploadSource, uploadBlob } from './upload.ts';

/**
 * A file of a version: what the manifest says of it, and its bytes from the beginning, as often as asked; pieces are not written
 * again once they were given.
 */
export interface PublishFile {
  readonly path: string;
  readonly ref: BlobRef;
  read(): AsyncIterable<Uint8Array>;
}

export interface PublishProgress {
  readonly stage: 'staged' | 'uploading' | 'resuming' | 'finalizing';
  /** The file being uploaded. */
  readonly path?: string;
  /** Of the bytes that the registry lacked at first; falls back when a broken upload is resumed. */
  readonly sentBytes: number;
  readonly missingBytes: number;
  /** Why an upload broke, when resuming. */
  readonly error?: ServiceError;
}

export interface PublishRequest {
  readonly model: string;
  /** The exact bytes; their digest becomes the version's identity. */
  readonly manifestBytes: Uint8Array;
  /** Every artifact of the manifest; files that the registry holds already are not read. */
  readonly files: readonly PublishFile[];
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly onProgress?: ((progress: PublishProgress) => void) | undefined;
}

export interface PublishedVersion {
  readonly version: Version;
  /** False when the model already had this very content. */
  readonly created: boolean;
  /** Contents of which the registry lacked all or some. */
  readonly uploadedFiles: number;
  readonly uploadedBytes: number;
}

interface PublishDeps {
  readonly stub: RegistryServiceClient;
  readonly caller: Caller;
  readonly retryDeps: RetryDeps;
}

/**
 * Stages a version, sends the chunks that the registry lacks, finalizes. An upload that breaks is resumed where the registry says
 * it stands, until as many breaks in a row as the retry settings allow brought nothing forward. Publishing again after a failure
 * also resumes: verified chunks stay with the registry.
 * @throws ServiceError not-found MODEL_NOT_FOUND; invalid-argument INVALID_MANIFEST; failed-precondition BLOBS_MISSING when a file
 *   is not among `files`; data-loss DIGEST_MISMATCH or SIZE_MISMATCH when a file is not what the manifest says.
 */
export async function publishVersion(
  deps: PublishDeps,
  request: PublishRequest,
  options: ClientCallOptions = {},
): Promise<PublishedVersion> {
  const { stub, caller } = deps;
  const stageRequest = {
    model: request.model,
    manifestJson: Buffer.from(request.manifestBytes),
    labels: { ...request.labels },
    // The same for every try of this call.
    requestId: randomUUID(),
  };
  const staged = await caller.call((bounds) => callUnary(stub.stageVersion.bind(stub), stageRequest, bounds), options);
  const missing = missingBlobs(staged.missing);
  const uploadedBytes = await uploadMissing(deps, request, staged.stagingId, missing, options);
  request.onProgress?.({ stage: 'finalizing', sentBytes: uploadedBytes, missingBytes: uploadedBytes });
  const finalizeRequestId = randomUUID();
  const { version, created } = await caller.call(
    (bounds) => callUnary(stub.finalizeVersion.bind(stub), { stagingId: staged.stagingId, requestId: finalizeRequestId }, bounds),
    options,
  );
  if (version === undefined) {
    throw new ServiceError('internal', 'INTERNAL', 'FinalizeVersion answered without version');
  }
  return { version, created, uploadedFiles: missing.length, uploadedBytes };
}

/** Gives the bytes that were missing at first. */
async function uploadMissing(
  { stub, caller, retryDeps }: PublishDeps,
  { manifestBytes, files, onProgress }: PublishRequest,
  stagingId: string,
  atFirst: readonly MissingBlob[],
  options: ClientCallOptions,
): Promise<number> {
  const sources = sourcesByDigest(manifestBytes, files);
  const total = missingBytes(atFirst);
  const retry = options.retry ?? DEFAULT_RETRY;
  const report = (progress: Omit<PublishProgress, 'missingBytes'>): void => onProgress?.({ ...progress, missingBytes: total });
  report({ stage: 'staged', sentBytes: 0 });
  let missing = atFirst;
  let failures = 0;
  while (missing.length > 0) {
    const leftBefore = missingBytes(missing);
    try {
      let sentBytes = total - leftBefore;
      for (const blob of missing) {
        const source = sourceOf(blob, sources);
        await uploadBlob(stub, stagingId, blob, source, options.signal, (bytes) => {
          sentBytes += bytes;
          report({ stage: 'uploading', path: source.path, sentBytes });
        });
      }
      return total;
    } catch (error) {
      if (!isRetryable(error)) {
        throw error;
      }
      failures += 1;
      if (failures >= retry.attempts) {
        throw caller.explain(error);
      }
      await retryDeps.sleep(retryDelay(failures, error, retry, retryDeps), options.signal);
      const { blobs } = await caller.call((bounds) => callUnary(stub.getStaging.bind(stub), { stagingId }, bounds), options);
      missing = missingBlobs(blobs);
      const left = missingBytes(missing);
      if (left < leftBefore) {
        failures = 0;
      }
      report({ stage: 'resuming', sentBytes: total - left, error });
    }
  }
  return total;
}

/** The registry may ask for the manifest too: it is a blob like any other. */
function sourcesByDigest(manifestBytes: Uint8Array, files: readonly PublishFile[]): Map<string, UploadSource> {
  const manifest = {
    path: 'manifest.json',
    async *read(): AsyncGenerator<Uint8Array> {
      yield manifestBytes;
    },
  };
  return new Map<string, UploadSource>([
    [refOf(manifestBytes).digest, manifest],
    ...files.map((file) => [file.ref.digest, file] as const),
  ]);
}

function sourceOf(blob: MissingBlob, sources: ReadonlyMap<string, UploadSource>): UploadSource {
  const source = sources.get(blob.digest);
  if (source === undefined) {
    throw new ServiceError(
      'failed-precondition',
      'BLOBS_MISSING',
      `no file given for ${blob.digest} (${blob.sizeBytes} bytes), which the registry lacks`,
    );
  }
  return source;
}
