import {
  DeleteObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
  type ServerSideEncryption,
} from '@aws-sdk/client-s3';
import { type Digest, hexOf } from '../../../proto/wire/digest.ts';
import type { ObjectPlace } from '../../model/object-place.ts';
import { isTransient, translateAwsError } from './aws-errors.ts';
import { nameOf } from './error-names.ts';
import type { AwsPlace } from './refusal.ts';
import { type Pace, retrying } from './retry.ts';
import { headBucket, headObject } from './s3-head.ts';
import { checksumOf } from './s3-layout.ts';

export type S3Sender = Pick<S3Client, 'send' | 'destroy'>;

export interface BucketDeps {
  readonly client: S3Sender;
  readonly pace: Pace;
  /** Told of what could not be cleaned up; a sweep does it later. */
  readonly onLeftover: (error: unknown) => void;
}

export interface BucketSettings {
  readonly bucket: string;
  readonly kmsKeyId: string | undefined;
}

/** How a new object is encrypted, where that is not left to the bucket. */
export interface Encryption {
  readonly ServerSideEncryption?: ServerSideEncryption;
  readonly SSEKMSKeyId?: string;
  readonly BucketKeyEnabled?: boolean;
}

const PAYLOAD_DIGEST = 'x-amz-content-sha256';

interface HttpRequest {
  readonly headers: Record<string, string>;
}

export interface StoredObject {
  readonly sizeBytes: number;
  readonly place: ObjectPlace;
}

/**
 * The requests of the blob store to one bucket. Those that S3 refuses for now are repeated here, and nowhere else.
 *
 * Errors of all methods: as `translateAwsError` says, and ServiceError cancelled or deadline-exceeded when the signal aborts.
 */
export class S3Bucket {
  readonly name: string;
  readonly encryption: Encryption;
  readonly pace: Pace;
  readonly #client: S3Sender;
  readonly #onLeftover: BucketDeps['onLeftover'];

  constructor({ client, pace, onLeftover }: BucketDeps, { bucket, kmsKeyId }: BucketSettings) {
    this.#client = client;
    this.#onLeftover = onLeftover;
    this.pace = pace;
    this.name = bucket;
    this.encryption =
      kmsKeyId === undefined ? {} : { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: kmsKeyId, BucketKeyEnabled: true };
  }

  /** Sends one request until S3 takes it. What `isAbsent` knows comes out as it is. */
  async request<T>(
    signal: AbortSignal,
    send: (client: S3Sender, options: { readonly abortSignal: AbortSignal }) => Promise<T>,
  ): Promise<T> {
    try {
      return await retrying(this.pace, signal, () => send(this.#client, { abortSignal: signal }), isTransient);
    } catch (error) {
      throw translateAwsError(error, this.#place);
    }
  }

  /** Runs a clean-up, whose failure must not hide what came before it. */
  async tidy(action: () => Promise<unknown>): Promise<void> {
    try {
      await action();
    } catch (error) {
      this.#onLeftover(error);
    }
  }

  /** @throws ServiceError failed-precondition BUCKET_NOT_FOUND when there is no such bucket. */
  async check(signal: AbortSignal): Promise<void> {
    try {
      await this.request(signal, (client, options) => headBucket(client, this.name, options));
    } catch (error) {
      // The answer to a HEAD has no body that could tell a bucket from an object.
      throw isAbsent(error)
        ? translateAwsError(Object.assign(new Error('no such bucket', { cause: error }), { name: 'NoSuchBucket' }), this.#place)
        : error;
    }
  }

  /** Undefined when there is no such object. */
  async head(key: string, signal: AbortSignal): Promise<StoredObject | undefined> {
    try {
      const head = await this.request(signal, (client, options) => headObject(client, this.name, key, options));
      const { ContentLength = 0, VersionId = '', ETag = '', ChecksumSHA256 = '' } = head;
      const place = { bucket: this.name, key, versionId: VersionId, etag: ETag, checksum: ChecksumSHA256 };
      return { sizeBytes: ContentLength, place };
    } catch (error) {
      if (isAbsent(error)) {
        return undefined;
      }
      throw error;
    }
  }

  /**
   * S3 stores the bytes only if they have this digest, and fails with PreconditionFailed where it is told to spare an object. Gives
   * the object's version, and nothing in a bucket that keeps none.
   */
  async put(
    key: string,
    bytes: Uint8Array,
    digest: Digest,
    signal: AbortSignal,
    onlyWhere?: 'absent',
  ): Promise<string | undefined> {
    const command = new PutObjectCommand({
      Bucket: this.name,
      Key: key,
      Body: bytes,
      ContentLength: bytes.byteLength,
      ChecksumSHA256: checksumOf(digest),
      ...(onlyWhere === 'absent' && { IfNoneMatch: '*' }),
      ...this.encryption,
    });
    // The signature is over a digest of the body: the SDK would compute it once more.
    command.middlewareStack.add(
      (next) => (args) => {
        (args.request as HttpRequest).headers[PAYLOAD_DIGEST] = hexOf(digest);
        return next(args);
      },
      { step: 'build', name: 'knownPayloadDigest' },
    );
    const { VersionId } = await this.request(signal, (client, options) => client.send(command, options));
    return isVersion(VersionId) ? VersionId : undefined;
  }

  /** The sizes of the objects under `prefix`, by key. */
  async list(prefix: string, signal: AbortSignal): Promise<Map<string, number>> {
    const sizes = new Map<string, number>();
    let next: { readonly ContinuationToken: string } | undefined;
    do {
      const command = new ListObjectsV2Command({ Bucket: this.name, Prefix: prefix, ...next });
      const page = await this.request(signal, (client, options) => client.send(command, options));
      for (const { Key = '', Size = 0 } of page.Contents ?? []) {
        sizes.set(Key, Size);
      }
      next = page.NextContinuationToken === undefined ? undefined : { ContinuationToken: page.NextContinuationToken };
    } while (next !== undefined);
    return sizes;
  }

  /** In a versioned bucket what it held stays, until the bucket's own rules remove it. */
  async delete(key: string, signal: AbortSignal): Promise<void> {
    const command = new DeleteObjectCommand({ Bucket: this.name, Key: key });
    await this.request(signal, (client, options) => client.send(command, options));
  }

  /**
   * Removes one version of an object for good; where there are no versions, the object if it is still this one. False when it is
   * another one by now.
   */
  async deleteVersion({ key, versionId, etag }: ObjectPlace, signal: AbortSignal): Promise<boolean> {
    const which = isVersion(versionId) ? { VersionId: versionId } : { IfMatch: etag };
    const command = new DeleteObjectCommand({ Bucket: this.name, Key: key, ...which });
    try {
      await this.request(signal, (client, options) => client.send(command, options));
      return true;
    } catch (error) {
      if (isAbsent(error) || nameOf(error) === 'PreconditionFailed') {
        return false;
      }
      throw error;
    }
  }

  get #place(): AwsPlace {
    return { kind: 'bucket', name: this.name };
  }
}

/** An object of before its bucket was versioned has the version `null`. */
function isVersion(versionId: string | undefined): boolean {
  return !['', 'null', undefined].includes(versionId);
}

/** Whether S3 says that the object, the version or the upload is not there. */
export function isAbsent(error: unknown): boolean {
  return ['NoSuchKey', 'NoSuchUpload', 'NoSuchVersion', 'NotFound'].includes(nameOf(error));
}
