import type { Readable } from 'node:stream';
import { GetObjectCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { abortError, ServiceError, throwIfAborted } from '../../proto/wire/errors.ts';
import type { BucketObject, ObjectBucket } from '../cli/bucket/object-bucket.ts';

export interface S3Settings {
  readonly region: string;
  /** Another server than AWS's; buckets are then named in the path. */
  readonly endpoint: string | undefined;
}

const CONNECT_TIMEOUT_MS = 3_000;
/** A transfer that stands still for so long does not go on. */
const IDLE_TIMEOUT_MS = 20_000;

/** Credentials are found as every AWS program finds them. */
export function openS3Bucket(bucket: string, { region, endpoint }: S3Settings): ObjectBucket {
  const client = new S3Client({
    region,
    // Whoever takes a bucket over need not know where it is.
    followRegionRedirects: true,
    // A range has no checksum of its own.
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: { connectionTimeout: CONNECT_TIMEOUT_MS, socketTimeout: IDLE_TIMEOUT_MS },
    ...(endpoint !== undefined && { endpoint, forcePathStyle: true }),
  });
  return new S3ObjectBucket(client, bucket);
}

export class S3ObjectBucket implements ObjectBucket {
  readonly place: string;
  readonly #client: Pick<S3Client, 'send' | 'destroy'>;
  readonly #bucket: string;

  constructor(client: Pick<S3Client, 'send' | 'destroy'>, bucket: string) {
    this.#client = client;
    this.#bucket = bucket;
    this.place = `s3://${bucket}`;
  }

  async *list(prefix: string, signal: AbortSignal): AsyncGenerator<BucketObject> {
    let token: string | undefined;
    do {
      const page = new ListObjectsV2Command({ Bucket: this.#bucket, Prefix: prefix, ContinuationToken: token });
      const { Contents = [], NextContinuationToken } = await this.#translated(this.place, signal, () =>
        this.#client.send(page, { abortSignal: signal }),
      );
      for (const { Key = '', Size = 0, ETag = '' } of Contents) {
        yield { key: Key, sizeBytes: Size, etag: ETag };
      }
      token = NextContinuationToken;
    } while (token !== undefined);
  }

  async *read({ key, sizeBytes, etag }: BucketObject, offsetBytes: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    throwIfAborted(signal);
    if (offsetBytes >= sizeBytes) {
      return;
    }
    const place = `${this.place}/${key}`;
    const range = { Range: `bytes=${offsetBytes}-${sizeBytes - 1}`, ...(etag !== '' && { IfMatch: etag }) };
    const command = new GetObjectCommand({ Bucket: this.#bucket, Key: key, ...range });
    const { Body } = await this.#translated(place, signal, () => this.#client.send(command, { abortSignal: signal }));
    const body = Body as Readable;
    const stop = (): void => void body.destroy(abortError(signal));
    signal.addEventListener('abort', stop);
    const pieces = body[Symbol.asyncIterator]();
    try {
      for (;;) {
        const { done, value } = await this.#translated(place, signal, () => pieces.next());
        if (done === true) {
          return;
        }
        yield value;
      }
    } finally {
      signal.removeEventListener('abort', stop);
      body.destroy();
    }
  }

  close(): void {
    this.#client.destroy();
  }

  async #translated<T>(place: string, signal: AbortSignal, request: () => Promise<T>): Promise<T> {
    try {
      return await request();
    } catch (error) {
      throwIfAborted(signal);
      throw translate(error, place);
    }
  }
}

/** The service's own text stays in the cause: it names accounts and roles. */
function translate(cause: unknown, place: string): ServiceError {
  const name = nameOf(cause);
  const status = statusOf(cause);
  switch (name) {
    case 'NoSuchBucket':
      return new ServiceError('not-found', 'BUCKET_NOT_FOUND', `${place}: there is no such bucket`, { cause });
    case 'NoSuchKey':
    case 'NotFound':
      return new ServiceError('not-found', 'BLOB_NOT_FOUND', `${place} is gone since it was listed`, { cause });
    case 'PreconditionFailed':
      return new ServiceError('data-loss', 'DIGEST_MISMATCH', `${place} was written anew since it was listed`, { cause });
    case 'CredentialsProviderError':
      return denied(`${place} cannot be read: no AWS credentials were found`, cause);
  }
  if (status === 401 || status === 403 || REFUSED.has(name)) {
    return denied(`${place} cannot be read: ${name}`, cause);
  }
  // Without a status there was no answer, or it broke off.
  if (status === 0 || status === 429 || status >= 500) {
    return new ServiceError('unavailable', 'STORAGE_UNAVAILABLE', `${place} cannot be reached: ${name}`, { cause });
  }
  return new ServiceError('invalid-argument', 'UNREADABLE_FILE', `${place} cannot be read: ${name}`, { cause });
}

const REFUSED = new Set(['ExpiredToken', 'TokenRefreshRequired', 'InvalidToken']);

function denied(message: string, cause: unknown): ServiceError {
  return new ServiceError('failed-precondition', 'BUCKET_ACCESS_DENIED', message, { cause });
}

function nameOf(error: unknown): string {
  if (!(error instanceof Error)) {
    return String(error);
  }
  return 'code' in error && typeof error.code === 'string' && error.name === 'Error' ? error.code : error.name;
}

/** The HTTP status of the answer; 0 where there was none. */
function statusOf(error: unknown): number {
  const metadata = error instanceof Error && '$metadata' in error ? (error.$metadata as { httpStatusCode?: number }) : undefined;
  return metadata?.httpStatusCode ?? 0;
}
