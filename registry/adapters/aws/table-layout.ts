import type { Digest } from '../../../proto/wire/digest.ts';
import type { Operation } from '../../release/catalog.ts';

/** Of the items; raised when an older release could not read them any more. */
export const FORMAT_VERSION = 1;

/** An item's key. Items with one `pk` are read in the order of their `sk`, compared byte by byte. */
export interface Key {
  readonly pk: string;
  readonly sk: string;
}

/**
 * The only builder of the catalog's keys, as ARCHITECTURE.md lists them. Names hold no `#`, which also sorts before every character that they may hold; label
 * values and request ids may hold anything, and come last. Numbers are padded, so that text sorts as they do.
 */
export const keys = {
  identity: { pk: 'store', sk: 'identity' },
  feedHead: { pk: 'store', sk: 'feed-head' },
  model: (model: string): Key => ({ pk: 'models', sk: model }),
  modelLabel: (key: string, value: string, model: string): Key => ({ pk: `model-label#${key}=${value}`, sk: model }),
  version: (model: string, version: number): Key => ({ pk: `versions#${model}`, sk: padded(version, VERSION_DIGITS) }),
  manifest: (model: string, digest: Digest): Key => ({ pk: `manifests#${model}`, sk: digest }),
  versionLabel: (model: string, key: string, value: string, version: number): Key => ({
    pk: `version-label#${model}#${key}=${value}`,
    sk: padded(version, VERSION_DIGITS),
  }),
  blob: (digest: Digest, sizeBytes: number, model: string, version: number): Key => ({
    pk: `blob#${digest}`,
    sk: `${padded(sizeBytes, SIZE_DIGITS)}#${model}#${padded(version, VERSION_DIGITS)}`,
  }),
  deletion: (model: string, version: number): Key => ({ pk: `deletions#${model}`, sk: padded(version, VERSION_DIGITS) }),
  staging: (id: string): Key => ({ pk: `staging#${id}`, sk: 'staging' }),
  openStaging: (id: string): Key => ({ pk: 'open-stagings', sk: id }),
  request: (operation: Operation, id: string): Key => ({ pk: `request#${operation}#${id}`, sk: 'request' }),
  alias: (model: string, alias: string): Key => ({ pk: 'aliases', sk: `${model}#${alias}` }),
  event: (model: string, sequence: number): Key => ({ pk: `events#${model}`, sk: padded(sequence, SEQUENCE_DIGITS) }),
  aliasEvent: (model: string, alias: string, revision: number): Key => ({
    pk: `alias-events#${model}#${alias}`,
    sk: padded(revision, VERSION_DIGITS),
  }),
  feed: (sequence: number): Key => ({ pk: 'feed', sk: padded(sequence, SEQUENCE_DIGITS) }),
  server: (id: string): Key => ({ pk: 'servers', sk: id }),
  serversHead: { pk: 'store', sk: 'servers-head' },
  prefetch: (model: string, version: number): Key => ({ pk: 'prefetches', sk: `${model}#${padded(version, VERSION_DIGITS)}` }),
  prefetchesHead: { pk: 'store', sk: 'prefetches-head' },
} as const;

/** The part of a partition's items that a read wants. */
export type SortRange =
  | { readonly kind: 'all' }
  | { readonly kind: 'after' | 'from' | 'before' | 'prefix'; readonly value: string }
  | { readonly kind: 'between'; readonly low: string; readonly high: string };

const ALL: SortRange = { kind: 'all' };

export const ranges = {
  all: ALL,
  /** Everything comes after the empty text, which DynamoDB takes for no part of a key. */
  after: (value: string): SortRange => (value === '' ? ALL : { kind: 'after', value }),
  from: (value: string): SortRange => (value === '' ? ALL : { kind: 'from', value }),
  before: (value: string): SortRange => ({ kind: 'before', value }),
  /** References to a blob of exactly this size. */
  blobOfSize: (sizeBytes: number): SortRange => ({ kind: 'prefix', value: `${padded(sizeBytes, SIZE_DIGITS)}#` }),
  aliasesOf: (model: string): SortRange => ({ kind: 'prefix', value: `${model}#` }),
  /** Both included. */
  feedBetween: (low: string, high: string): SortRange => ({ kind: 'between', low, high }),
  /** The aliases of all models from one to another, both included. */
  aliasesBetween: (first: string, last: string): SortRange => ({ kind: 'between', low: `${first}#`, high: `${last}$` }),
} as const;

/** Versions and revisions are uint32; a sequence number is as long as a cursor allows; sizes reach 2^53. */
const VERSION_DIGITS = 10;
const SEQUENCE_DIGITS = 15;
const SIZE_DIGITS = 16;

function padded(value: number, digits: number): string {
  return String(value).padStart(digits, '0');
}
