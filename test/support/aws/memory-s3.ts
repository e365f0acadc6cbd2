import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import type { S3Sender } from '../../../registry/adapters/aws/s3-bucket.ts';
import { awsError, FakeClient, type Sent } from './fake-client.ts';

interface StoredVersion {
  readonly versionId: string;
  readonly bytes: Buffer;
  readonly checksum: string;
  readonly modified: Date;
  /** The object was deleted; older versions stay. */
  readonly isMark: boolean;
}

interface MultipartUpload {
  readonly key: string;
  readonly initiated: Date;
  readonly parts: Map<number, Buffer>;
}

/** Enough of a versioned S3 bucket for the blob store. */
export class MemoryS3 {
  readonly objects = new Map<string, StoredVersion[]>();
  readonly uploads = new Map<string, MultipartUpload>();
  readonly client = new FakeClient((request) => this.#answer(request));
  /** What a body does instead of giving all its bytes. */
  body: (bytes: Buffer) => Readable = (bytes) => Readable.from([bytes]);
  /** Entries of a listing; S3 gives up to a thousand. */
  pageSize = 2;
  isVersioned = true;
  /** As some other servers do where a write is only to be made if there is no object. */
  takesMarksForObjects = false;
  /** Of what is written from now on. */
  nowMs = 1_000;
  #ids = 0;

  /** As the blob store takes it. */
  get sender(): S3Sender {
    return this.client as unknown as S3Sender;
  }

  /** The keys that a listing shows. */
  get keys(): string[] {
    return [...this.objects.keys()].filter((key) => this.#latest(key) !== undefined).toSorted();
  }

  /** As somebody else puts an object. */
  store(key: string, bytes: Buffer): void {
    this.#put(key, bytes, sha256(bytes));
  }

  #answer({ name, input }: Sent): unknown {
    const key = String(input['Key']);
    switch (name) {
      case 'HeadObject': {
        const found = this.#latest(key);
        if (found === undefined) {
          throw awsError('NotFound', 404);
        }
        return {
          ContentLength: found.bytes.byteLength,
          VersionId: this.isVersioned ? found.versionId : undefined,
          ETag: found.versionId,
          ChecksumSHA256: found.checksum,
        };
      }
      case 'GetObject':
        return this.#get(key, input);
      case 'PutObject': {
        const bytes = Buffer.from(input['Body'] as Uint8Array);
        if (sha256(bytes) !== input['ChecksumSHA256']) {
          throw awsError('BadDigest');
        }
        this.#checkAbsent(key, input);
        return this.#put(key, bytes, sha256(bytes));
      }
      case 'CopyObject': {
        const bytes = this.#source(input);
        this.#checkAbsent(key, input);
        return { CopyObjectResult: { ChecksumSHA256: sha256(bytes) }, ...this.#put(key, bytes, sha256(bytes)) };
      }
      case 'DeleteObject':
        if (typeof input['VersionId'] === 'string') {
          this.#remove(key, input['VersionId']);
          return {};
        }
        if (input['IfMatch'] !== undefined && input['IfMatch'] !== this.#latest(key)?.versionId) {
          throw awsError('PreconditionFailed', 412);
        }
        this.#push(key, { bytes: Buffer.alloc(0), checksum: '', isMark: true });
        return {};
      case 'DeleteObjects':
        for (const { Key, VersionId } of (input['Delete'] as { Objects: { Key: string; VersionId: string }[] }).Objects) {
          this.#remove(Key, VersionId);
        }
        return { Errors: [] };
      case 'CreateMultipartUpload': {
        const UploadId = `upload-${++this.#ids}`;
        this.uploads.set(UploadId, { key, initiated: new Date(this.nowMs), parts: new Map() });
        return { UploadId };
      }
      case 'UploadPartCopy': {
        const bytes = this.#source(input);
        this.#upload(input).parts.set(Number(input['PartNumber']), bytes);
        return { CopyPartResult: { ETag: sha256(bytes), ChecksumSHA256: sha256(bytes) } };
      }
      case 'CompleteMultipartUpload':
        return this.#complete(key, input);
      case 'AbortMultipartUpload':
        this.#upload(input);
        this.uploads.delete(String(input['UploadId']));
        return {};
      case 'ListObjectsV2': {
        const { page, next } = pageOf(
          this.keys.filter((found) => found.startsWith(String(input['Prefix']))),
          input['ContinuationToken'],
          this.pageSize,
        );
        return {
          Contents: page.map((Key) => ({
            Key,
            Size: this.#latest(Key)?.bytes.byteLength,
            ETag: this.#latest(Key)?.versionId,
            LastModified: this.#latest(Key)?.modified,
          })),
          ...(next !== undefined && { NextContinuationToken: next }),
        };
      }
      case 'ListObjectVersions':
        return this.#versions(String(input['Prefix']), input['VersionIdMarker']);
      case 'ListMultipartUploads': {
        const ids = [...this.uploads].filter(([, upload]) => upload.key.startsWith(String(input['Prefix']))).map(([id]) => id);
        const { page, next } = pageOf(ids, input['UploadIdMarker'], this.pageSize);
        const Uploads = page.map((UploadId) => {
          const upload = this.uploads.get(UploadId);
          return { UploadId, Key: upload?.key, Initiated: upload?.initiated };
        });
        return { Uploads, IsTruncated: next !== undefined, NextKeyMarker: next, NextUploadIdMarker: next };
      }
      default:
        throw new Error(`the blob store sends no ${name}`);
    }
  }

  #get(key: string, input: Sent['input']): unknown {
    const wanted = input['VersionId'];
    const found = wanted === undefined ? this.#latest(key) : this.objects.get(key)?.find(({ versionId }) => versionId === wanted);
    if (found === undefined) {
      throw awsError(wanted === undefined ? 'NoSuchKey' : 'NoSuchVersion', 404);
    }
    if (found.isMark) {
      throw awsError('MethodNotAllowed', 405);
    }
    if (input['IfMatch'] !== undefined && input['IfMatch'] !== found.versionId) {
      throw awsError('PreconditionFailed', 412);
    }
    const [, first = 0, last = 0] = (/^bytes=(\d+)-(\d+)$/.exec(String(input['Range'])) ?? []).map(Number);
    if (first >= found.bytes.byteLength) {
      throw awsError('InvalidRange', 416);
    }
    return { Body: this.body(found.bytes.subarray(first, last + 1)), ETag: found.versionId };
  }

  #complete(key: string, input: Sent['input']): unknown {
    const { parts } = this.#upload(input);
    this.#checkAbsent(key, input);
    const chosen = (input['MultipartUpload'] as { Parts: { PartNumber: number }[] }).Parts;
    const bytes = Buffer.concat(chosen.map(({ PartNumber }) => parts.get(PartNumber) ?? Buffer.alloc(0)));
    this.uploads.delete(String(input['UploadId']));
    return this.#put(key, bytes, `of-parts-${chosen.length}`);
  }

  #checkAbsent(key: string, input: Sent['input']): void {
    const found = this.takesMarksForObjects ? this.objects.get(key)?.at(-1) : this.#latest(key);
    if (input['IfNoneMatch'] === '*' && found !== undefined) {
      throw awsError('PreconditionFailed', 412);
    }
  }

  #upload(input: Sent['input']): MultipartUpload {
    const upload = this.uploads.get(String(input['UploadId']));
    if (upload === undefined) {
      throw awsError('NoSuchUpload', 404);
    }
    return upload;
  }

  #source(input: Sent['input']): Buffer {
    const found = this.#latest(String(input['CopySource']).replace(/^bucket\//, ''));
    if (found === undefined) {
      throw awsError('NoSuchKey', 404);
    }
    return found.bytes;
  }

  #put(key: string, bytes: Buffer, checksum: string): { VersionId: string | undefined } {
    const versionId = this.#push(key, { bytes, checksum, isMark: false });
    return { VersionId: this.isVersioned ? versionId : undefined };
  }

  #push(key: string, version: Pick<StoredVersion, 'bytes' | 'checksum' | 'isMark'>): string {
    const versionId = `v${++this.#ids}`;
    this.objects.set(key, [...(this.objects.get(key) ?? []), { ...version, versionId, modified: new Date(this.nowMs) }]);
    return versionId;
  }

  #remove(key: string, id: string): void {
    this.objects.set(
      key,
      (this.objects.get(key) ?? []).filter(({ versionId }) => versionId !== id),
    );
  }

  #latest(key: string): StoredVersion | undefined {
    const latest = this.objects.get(key)?.at(-1);
    return latest?.isMark === true ? undefined : latest;
  }

  #versions(prefix: string, after: unknown): unknown {
    const all = [...this.objects].flatMap(([Key, versions]) => versions.map((version) => ({ Key, ...version })));
    const { page, next } = pageOf(
      all.filter(({ Key }) => Key.startsWith(prefix)).map(({ versionId }) => versionId),
      after,
      this.pageSize,
    );
    const shown = (isMark: boolean) =>
      all
        .filter((version) => version.isMark === isMark && page.includes(version.versionId))
        .map(({ Key, versionId, modified }) => ({ Key, VersionId: versionId, LastModified: modified }));
    return {
      Versions: shown(false),
      DeleteMarkers: shown(true),
      IsTruncated: next !== undefined,
      NextKeyMarker: next,
      NextVersionIdMarker: next,
    };
  }
}

/** A page of the entries after a mark, which may be gone by now; in an order that does not depend on what else there is. */
function pageOf(names: readonly string[], after: unknown, size: number): { page: string[]; next: string | undefined } {
  const ordered = names.toSorted();
  const rest = typeof after === 'string' ? ordered.filter((name) => name > after) : ordered;
  const page = rest.slice(0, size);
  return { page, next: rest.length > size ? page.at(-1) : undefined };
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('base64');
}
