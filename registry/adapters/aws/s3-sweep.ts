import {
  AbortMultipartUploadCommand,
  DeleteObjectsCommand,
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
  type _Error as ObjectError,
  type ObjectIdentifier,
} from '@aws-sdk/client-s3';
import { isAbsent, type S3Bucket } from './s3-bucket.ts';

/** S3 takes no more in one request. */
const MAX_DELETED_AT_ONCE = 1000;
/** To tell S3 that an upload will not be completed, although the caller has left. */
const ABORT_LIMIT_MS = 10_000;

/**
 * Removes for good the objects under `prefix` that were last written before a time, with all their versions: what is no more than
 * an intermediate stage must not be kept for a month. Gives their number.
 */
export async function purge(bucket: S3Bucket, prefix: string, beforeMs: number, signal: AbortSignal): Promise<number> {
  let removed = 0;
  let next: { readonly KeyMarker?: string | undefined; readonly VersionIdMarker?: string | undefined } | undefined = {};
  while (next !== undefined) {
    const command: ListObjectVersionsCommand = new ListObjectVersionsCommand({ Bucket: bucket.name, Prefix: prefix, ...next });
    const page = await bucket.request(signal, (client, options) => client.send(command, options));
    const old = [...(page.Versions ?? []), ...(page.DeleteMarkers ?? [])]
      .filter(({ LastModified }) => (LastModified?.getTime() ?? 0) < beforeMs)
      .map(({ Key, VersionId }) => ({ Key, ...(VersionId !== undefined && VersionId !== 'null' && { VersionId }) }));
    for (let at = 0; at < old.length; at += MAX_DELETED_AT_ONCE) {
      await deleteAll(bucket, old.slice(at, at + MAX_DELETED_AT_ONCE), signal);
    }
    removed += old.length;
    next = page.IsTruncated === true ? { KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker } : undefined;
  }
  return removed;
}

/** Gives up the uploads under `prefix` that were begun before a time and never completed. Gives their number. */
export async function abortUploads(bucket: S3Bucket, prefix: string, beforeMs: number, signal: AbortSignal): Promise<number> {
  let aborted = 0;
  let next: { readonly KeyMarker?: string | undefined; readonly UploadIdMarker?: string | undefined } | undefined = {};
  while (next !== undefined) {
    const command: ListMultipartUploadsCommand = new ListMultipartUploadsCommand({
      Bucket: bucket.name,
      Prefix: prefix,
      ...next,
    });
    const page = await bucket.request(signal, (client, options) => client.send(command, options));
    for (const { Key = '', UploadId = '', Initiated } of page.Uploads ?? []) {
      if ((Initiated?.getTime() ?? 0) < beforeMs) {
        await abort(bucket, Key, UploadId, signal);
        aborted++;
      }
    }
    next = page.IsTruncated === true ? { KeyMarker: page.NextKeyMarker, UploadIdMarker: page.NextUploadIdMarker } : undefined;
  }
  return aborted;
}

/** Gives one upload up, whatever became of its caller. */
export async function abortUpload(bucket: S3Bucket, key: string, uploadId: string): Promise<void> {
  await bucket.tidy(() => abort(bucket, key, uploadId, AbortSignal.timeout(ABORT_LIMIT_MS)));
}

async function abort(bucket: S3Bucket, key: string, uploadId: string, signal: AbortSignal): Promise<void> {
  const command = new AbortMultipartUploadCommand({ Bucket: bucket.name, Key: key, UploadId: uploadId });
  try {
    await bucket.request(signal, (client, options) => client.send(command, options));
  } catch (error) {
    if (!isAbsent(error)) {
      throw error;
    }
  }
}

/** Removes versions of objects. */
export async function deleteAll(bucket: S3Bucket, objects: readonly ObjectIdentifier[], signal: AbortSignal): Promise<void> {
  const command = new DeleteObjectsCommand({ Bucket: bucket.name, Delete: { Objects: [...objects], Quiet: true } });
  await bucket.request(signal, async (client, options) => {
    const { Errors } = await client.send(command, options);
    const failure = (Errors ?? []).map(toError).find((error) => !isAbsent(error));
    if (failure !== undefined) {
      throw failure;
    }
  });
}

/** An object that was marked as deleted is there again under its own version. True when there is something below the marks. */
export async function removeMarks(bucket: S3Bucket, key: string, signal: AbortSignal): Promise<boolean> {
  const marks: ObjectIdentifier[] = [];
  let versions = 0;
  let next: { readonly KeyMarker?: string | undefined; readonly VersionIdMarker?: string | undefined } | undefined = {};
  while (next !== undefined) {
    const command: ListObjectVersionsCommand = new ListObjectVersionsCommand({ Bucket: bucket.name, Prefix: key, ...next });
    const page = await bucket.request(signal, (client, options) => client.send(command, options));
    versions += page.Versions?.length ?? 0;
    marks.push(...(page.DeleteMarkers ?? []).map(({ Key, VersionId }) => ({ Key, VersionId })));
    next = page.IsTruncated === true ? { KeyMarker: page.NextKeyMarker, VersionIdMarker: page.NextVersionIdMarker } : undefined;
  }
  if (marks.length > 0) {
    await deleteAll(bucket, marks, signal);
  }
  return versions > 0;
}

/** The failure of one object among many, as a request for it alone would have failed. */
function toError({ Key = '', Code = 'InternalError', Message = '' }: ObjectError): Error {
  return Object.assign(new Error(`${Key} was not deleted: ${Message}`), { name: Code });
}
