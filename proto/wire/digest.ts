import { createHash, type Hash, webcrypto } from 'node:crypto';
import { invalid } from './errors.ts';

declare const digestBrand: unique symbol;

/** `sha256:` and 64 lower-case hexadecimal digits. Built by `parseDigest`, `digestOf` or a `Hasher` only. */
export type Digest = string & { readonly [digestBrand]: true };

/** Content by digest and size together; neither travels alone. */
export interface BlobRef {
  readonly digest: Digest;
  readonly sizeBytes: number;
}

const PATTERN = /^sha256:[0-9a-f]{64}$/;

/** The digest in `text`, or undefined when it has another form. */
export function asDigest(text: string): Digest | undefined {
  return PATTERN.test(text) ? (text as Digest) : undefined;
}

/** @throws ServiceError invalid-argument INVALID_REQUEST naming `field`. */
export function parseDigest(text: string, field: string): Digest {
  const digest = asDigest(text);
  if (digest === undefined) {
    throw invalid([{ field, description: `expected "sha256:" and 64 lower-case hex digits, found "${text.slice(0, 80)}"` }]);
  }
  return digest;
}

export function digestOf(bytes: Uint8Array): Digest {
  return finish(createHash('sha256').update(bytes));
}

/** The same on another thread: for what is large enough to hold up everybody else here. `bytes` stay as they are until then. */
export async function digestInBackground(bytes: Uint8Array): Promise<Digest> {
  const hash = await webcrypto.subtle.digest('SHA-256', bytes);
  return `sha256:${Buffer.from(hash).toString('hex')}` as Digest;
}

export function refOf(bytes: Uint8Array): BlobRef {
  return { digest: digestOf(bytes), sizeBytes: bytes.byteLength };
}

/** The 64 hexadecimal digits alone, for file names. */
export function hexOf(digest: Digest): string {
  return digest.slice('sha256:'.length);
}

/** Hashes and counts bytes as they pass. */
export class Hasher {
  readonly #hash: Hash = createHash('sha256');
  #sizeBytes = 0;

  update(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    this.#sizeBytes += bytes.byteLength;
  }

  /** To be called once. */
  finish(): BlobRef {
    return { digest: finish(this.#hash), sizeBytes: this.#sizeBytes };
  }
}

function finish(hash: Hash): Digest {
  return `sha256:${hash.digest('hex')}` as Digest;
}
