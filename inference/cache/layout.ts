import { isAbsolute, join } from 'node:path';
import { asDigest, type BlobRef, type Digest, hexOf, parseDigest } from '../../proto/wire/digest.ts';
import { invalid } from '../../proto/wire/errors.ts';

/** The on-disk format. Another format gets another folder beside this one; neither touches the other's files. */
const FORMAT = 'v1';

/** Marks the folder for backup programs: its content can be fetched again. https://bford.info/cachedir/ */
export const CACHE_TAG =
  'Signature: 8a477f597d28d172789f06886806bc55\n# Model artifacts by digest; safe to delete while no server runs.\n';

/** What a file in the folder of partials is. */
export type PartialPart = 'data' | 'journal' | 'put' | 'evicting';

export interface PartialName {
  readonly ref: BlobRef;
  readonly owner: string;
  readonly part: PartialPart;
}

/**
 * The only builder of cache paths:
 *
 *     CACHEDIR.TAG
 *     v1/blobs/sha256/<ab>/<hex>            verified when published, 0444
 *     v1/partial/<hex>-<size>.<owner>       bytes of a download; `.journal`: which chunks of it; `.put`, `.evicting`: short-lived
 *     v1/quarantine/<hex>.<ms>-<random>     what did not match its name
 *     v1/pins/<owner>/<hex>                 empty: this process needs this blob
 *     v1/state/<name>.json                  small documents; `.<owner>.<random>.tmp`: one being written
 *
 * Digests and owners are checked here although their types promise their form: a path is where a broken promise would hurt.
 */
export class CacheLayout {
  readonly root: string;

  /** @throws ServiceError invalid-argument when `root` is not an absolute path. */
  constructor(root: string) {
    if (!isAbsolute(root)) {
      throw invalid([{ field: 'cache folder', description: `expected an absolute path, found "${root}"` }]);
    }
    this.root = root;
  }

  get tag(): string {
    return join(this.root, 'CACHEDIR.TAG');
  }

  get blobs(): string {
    return join(this.root, FORMAT, 'blobs', 'sha256');
  }

  get partials(): string {
    return join(this.root, FORMAT, 'partial');
  }

  get quarantine(): string {
    return join(this.root, FORMAT, 'quarantine');
  }

  get pins(): string {
    return join(this.root, FORMAT, 'pins');
  }

  get state(): string {
    return join(this.root, FORMAT, 'state');
  }

  /** The folder that holds a digest's blob. */
  shard(digest: Digest): string {
    return join(this.blobs, checkedHex(digest).slice(0, 2));
  }

  blob(digest: Digest): string {
    return join(this.shard(digest), checkedHex(digest));
  }

  partial({ digest, sizeBytes }: BlobRef, owner: string, part: PartialPart): string {
    const name = `${checkedHex(digest)}-${sizeBytes}.${checkedOwner(owner)}`;
    return join(this.partials, part === 'data' ? name : `${name}.${part}`);
  }

  quarantined(digest: Digest, nowMs: number, random: string): string {
    return join(this.quarantine, `${checkedHex(digest)}.${nowMs}-${checkedOwner(random)}`);
  }

  pinsOf(owner: string): string {
    return join(this.pins, checkedOwner(owner));
  }

  pin(digest: Digest, owner: string): string {
    return join(this.pinsOf(owner), checkedHex(digest));
  }

  /** @throws ServiceError invalid-argument when `name` is not lower-case words joined by "-". */
  stateFile(name: string): string {
    if (!/^[a-z][a-z0-9-]{0,63}$/.test(name)) {
      throw invalid([
        { field: 'state name', description: `expected lower-case letters, digits and "-", found "${name.slice(0, 80)}"` },
      ]);
    }
    return join(this.state, `${name}.json`);
  }
}

/** The digest that a file or pin of this name stands for, or undefined for a foreign name. */
export function digestOfName(name: string): Digest | undefined {
  return asDigest(`sha256:${name}`);
}

/** What a file in the folder of partials is, or undefined for a foreign name. */
export function parsePartialName(name: string): PartialName | undefined {
  const match = /^([0-9a-f]{64})-(\d{1,16})\.([0-9a-z-]+)(?:\.(journal|put|evicting))?$/.exec(name);
  const digest = digestOfName(match?.[1] ?? '');
  const owner = match?.[3];
  if (digest === undefined || owner === undefined) {
    return undefined;
  }
  return { ref: { digest, sizeBytes: Number(match?.[2]) }, owner, part: partOf(match?.[4]) };
}

/** Who writes, or wrote, an unfinished document of state: `<name>.json.<owner>.<random>.tmp`. */
export function ownerOfTemporary(name: string): string | undefined {
  return /^[a-z0-9-]+\.json\.([0-9a-z-]{1,80})\.[0-9a-f]+\.tmp$/.exec(name)?.[1];
}

function partOf(suffix: string | undefined): PartialPart {
  return suffix === 'journal' || suffix === 'put' || suffix === 'evicting' ? suffix : 'data';
}

function checkedHex(digest: Digest): string {
  return hexOf(parseDigest(digest, 'digest'));
}

function checkedOwner(owner: string): string {
  if (!/^[0-9a-z-]{1,80}$/.test(owner)) {
    throw invalid([{ field: 'cache owner', description: `expected digits, letters and "-", found "${owner.slice(0, 80)}"` }]);
  }
  return owner;
}
