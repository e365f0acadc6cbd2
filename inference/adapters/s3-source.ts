import type { Readable } from 'node:stream';
import type { GetObjectCommandOutput, S3Client } from '@aws-sdk/client-s3';
import type { ByteRange } from '../../proto/wire/chunks.ts';
import type { BlobRef } from '../../proto/wire/digest.ts';
import { abortError, isServiceError, ServiceError, throwIfAborted } from '../../proto/wire/errors.ts';
import type { BlobSource } from '../cache/blob-source.ts';

export interface S3Settings {
  readonly region: string;
  /** Another server than AWS's; buckets are then named in the path. */
  readonly endpoint: string | undefined;
}

/** An object as the registry names it. */
export interface S3Object {
  readonly bucket: string;
  readonly key: string;
  /** Empty where the bucket is not versioned. */
  readonly versionId: string;
}

const CONNECT_TIMEOUT_MS = 3_000;
const IDLE_TIMEOUT_MS = 20_000;
/** The cache asks the next place rather than wait for this one. */
const ATTEMPTS = 2;
/** Without credentials, or without a way to S3, every further try would cost the same seconds in vain. */
const REST_MS = 300_000;
const BROKEN = new Set(['ECONNRESET', 'EPIPE']);

/** What this server can read of S3: one client, loaded when an object is first asked for. */
export class S3Access {
  readonly #settings: S3Settings;
  readonly #nowMs: () => number;
  #client: Promise<S3Client> | undefined;
  #rest: { readonly untilMs: number; readonly why: string } | undefined;

  constructor(deps: { readonly nowMs: () => number }, settings: S3Settings) {
    this.#nowMs = deps.nowMs;
    this.#settings = settings;
  }

  source(object: S3Object): BlobSource {
    return new S3Source(this, object);
  }

  /** @throws ServiceError unavailable STORAGE_UNAVAILABLE while S3 is out of use here. */
  async get(object: S3Object, range: ByteRange, etag: string, signal: AbortSignal): Promise<GetObjectCommandOutput> {
    if (this.#rest !== undefined && this.#nowMs() < this.#rest.untilMs) {
      throw new ServiceError('unavailable', 'STORAGE_UNAVAILABLE', `S3 was out of reach a while ago: ${this.#rest.why}`);
    }
    const { GetObjectCommand, S3Client: Client } = await import('@aws-sdk/client-s3');
    const { region, endpoint } = this.#settings;
    this.#client ??= Promise.resolve(
      new Client({
        region,
        maxAttempts: ATTEMPTS,
        // Every chunk is verified against the registry's digest.
        responseChecksumValidation: 'WHEN_REQUIRED',
        requestHandler: { connectionTimeout: CONNECT_TIMEOUT_MS, socketTimeout: IDLE_TIMEOUT_MS },
        ...(endpoint !== undefined && { endpoint, forcePathStyle: true }),
      }),
    );
    const client = await this.#client;
    const command = new GetObjectCommand({
      Bucket: object.bucket,
      Key: object.key,
      Range: `bytes=${range.offsetBytes}-${range.offsetBytes + range.lengthBytes - 1}`,
      ...(object.versionId !== '' && { VersionId: object.versionId }),
      ...(etag !== '' && { IfMatch: etag }),
    });
    try {
      return await client.send(command, { abortSignal: signal });
    } catch (error) {
      if (!signal.aborted && isOutOfReach(error)) {
        this.#rest = { untilMs: this.#nowMs() + REST_MS, why: nameOf(error) };
      }
      throw error;
    }
  }

  async close(): Promise<void> {
    (await this.#client)?.destroy();
  }
}

class S3Source implements BlobSource {
  readonly name: string;
  readonly #access: S3Access;
  readonly #object: S3Object;
  /** Of the first answer: without versions, all ranges must be of one object. */
  #etag = '';

  constructor(access: S3Access, object: S3Object) {
    this.#access = access;
    this.#object = object;
    this.name = `s3://${object.bucket}/${object.key}`;
  }

  /**
   * @throws ServiceError not-found BLOB_NOT_FOUND when there is no such object or version; failed-precondition
   * BLOB_ARCHIVED when it is in an archive; data-loss SIZE_MISMATCH when it has
   *   another size; unavailable STORAGE_UNAVAILABLE when it cannot be read; the signal's reason.
   */
  async *open(ref: BlobRef, range: ByteRange, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    throwIfAborted(signal);
    if (range.lengthBytes === 0) {
      return;
    }
    try {
      const { Body, ContentRange, ETag } = await this.#access.get(this.#object, range, this.#etag, signal);
      const body = Body as Readable;
      const stop = (): void => void body.destroy(abortError(signal));
      signal.addEventListener('abort', stop);
      try {
        this.#checkSize(ref, ContentRange);
        this.#etag = this.#object.versionId === '' ? (ETag ?? '') : '';
        yield* body;
      } finally {
        signal.removeEventListener('abort', stop);
        body.destroy();
      }
    } catch (error) {
      throwIfAborted(signal);
      throw this.#translate(error, ref);
    }
  }

  #checkSize(ref: BlobRef, contentRange: string | undefined): void {
    const found = /\/(\d+)$/.exec(contentRange ?? '')?.[1];
    if (found !== undefined && Number(found) !== ref.sizeBytes) {
      throw this.#wrongSize(ref, found);
    }
  }

  #wrongSize(ref: BlobRef, found: string): ServiceError {
    return new ServiceError('data-loss', 'SIZE_MISMATCH', `${this.name} has ${found} bytes, expected ${ref.sizeBytes}`, {
      metadata: { digest: ref.digest, expected: String(ref.sizeBytes), found, source: this.name },
    });
  }

  #translate(error: unknown, ref: BlobRef): unknown {
    if (isServiceError(error) || !(error instanceof Error)) {
      return error;
    }
    const name = nameOf(error);
    switch (name) {
      case 'NoSuchKey':
      case 'NoSuchVersion':
      case 'NoSuchBucket':
      case 'NotFound':
      // The version is a mark that the object was deleted.
      case 'MethodNotAllowed':
        return new ServiceError('not-found', 'BLOB_NOT_FOUND', `${this.name} does not exist`, {
          cause: error,
          metadata: { digest: ref.digest },
        });
      case 'InvalidObjectState':
        return new ServiceError('failed-precondition', 'BLOB_ARCHIVED', `${this.name} has to be restored from an archive first`, {
          cause: error,
          metadata: { digest: ref.digest },
        });
      case 'InvalidRange':
        return this.#wrongSize(ref, 'fewer');
      case 'PreconditionFailed':
        // It was written anew: the next try begins with what is there now.
        this.#etag = '';
        break;
    }
    return new ServiceError('unavailable', 'STORAGE_UNAVAILABLE', `${this.name}: ${name}`, { cause: error });
  }
}

/** Whether the failure says something about this server's way to S3, and not about one object. */
function isOutOfReach(error: unknown): boolean {
  // The SDK calls a connection that broke a timeout too; the next one may hold.
  if (BROKEN.has(codeOf(error))) {
    return false;
  }
  const names = [
    'CredentialsProviderError',
    'ECONNREFUSED',
    'ENOTFOUND',
    'EAI_AGAIN',
    'EHOSTUNREACH',
    'ENETUNREACH',
    'TimeoutError',
  ];
  return names.includes(nameOf(error));
}

/** The service's name for a failure, or the system's. */
function nameOf(error: unknown): string {
  if (!(error instanceof Error)) {
    return String(error);
  }
  return error.name === 'Error' ? codeOf(error) || error.name : error.name;
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}
