import * as fc from 'fast-check';
import { CHUNK_BYTES } from '../../../proto/wire/chunks.ts';
import type { Registry } from '../../../registry/release/registry.ts';
import type { ManualClock } from '../registry/manual-clock.ts';
import { type SampleVersion, sampleVersion, seededBytes } from '../registry/sample-version.ts';
import type { Labels } from './reference-records.ts';
import type { ReferenceRegistry } from './reference-registry.ts';

/** What is tested: registries on one store, and what their answers are needed for later. */
export interface RealRegistry {
  readonly registries: readonly Registry[];
  readonly clock: ManualClock;
  /** What one of them is told of servers and prefetches, all know. */
  readonly sharesLive: boolean;
  /** Once no registry waits for its store any more. */
  untilIdle(): Promise<void>;
  /** The ids of the reference's stagings. */
  readonly stagingIds: string[];
  /** The places of the reference's watches. */
  readonly cursors: string[];
}

/** A kind of call: how to make it, and what the reference says of it. `by` is the number of the registry that is called. */
export interface Verb<S> {
  readonly name: string;
  readonly steps: fc.Arbitrary<S>;
  /** Makes the call. The reference stands where it stood before. */
  perform(registry: Registry, step: S, real: RealRegistry, reference: ReferenceRegistry, by: number): Promise<unknown>;
  /** What the call has to answer, or the refusal it has to throw. */
  expect(reference: ReferenceRegistry, step: S, by: number): unknown;
}

/** Few of everything, so that calls meet. */
export const names = {
  model: fc.constantFrom('m', 'm', 'm', 'm', 'm-2', 'n'),
  alias: fc.constantFrom('production', 'production', 'canary'),
  version: fc.constantFrom(1, 2, 1, 2, 3, 4, 5),
  /** Seldom one with large files: what comes of these takes its time. */
  content: fc.constantFrom(0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 4, 5),
  /** See `stagingOf`. */
  staging: fc.constantFrom(0, 0, 0, 1, 1, 2, 3, 4),
  labels: fc.constantFrom<Labels>({}, { a: '1' }, { a: '2' }, { a: '1', b: '1' }),
  /** Most requests have none. */
  requestId: fc.constantFrom('', '', '', '', '', '', 'r', 's', 't'),
  pageSize: fc.integer({ min: 1, max: 3 }),
} as const;

/** In place of a version: the newest one. */
export const NEWEST = 99;

/** The version that is meant; 1 where there is none. */
export function versionOf(reference: ReferenceRegistry, model: string, version: number): number {
  return version === NEWEST ? Math.max(1, ...(reference.models.get(model)?.versions.keys() ?? [])) : version;
}

/** Three chunks, and one that is exactly full. */
const LARGE = seededBytes('large', 2 * CHUNK_BYTES + 700);
const FULL = seededBytes('full', CHUNK_BYTES);

/** They share files, one has the same file twice, one an empty file, two have large ones. */
export const CONTENTS: readonly SampleVersion[] = [
  sampleVersion([seededBytes('own 0', 300), seededBytes('shared', 100)]),
  sampleVersion([seededBytes('own 1', 300), seededBytes('shared', 100)]),
  sampleVersion([seededBytes('own 2', 300), Buffer.alloc(0)]),
  sampleVersion([seededBytes('shared', 100), seededBytes('shared', 100)]),
  sampleVersion([LARGE, seededBytes('own 4', 300)]),
  sampleVersion([LARGE, FULL]),
];

/** The number of the staging that is meant: open ones from the newest on, then the others, then one that is not there. */
export function stagingOf({ stagings }: ReferenceRegistry, ago: number): number {
  const numbers = [...stagings.keys()].toReversed();
  const isOpen = (number: number): boolean => stagings[number]?.version === 0 && !stagings[number].isEnded;
  const ordered = [...numbers.filter(isOpen), ...numbers.filter((number) => !isOpen(number))];
  return ordered[ago] ?? UNKNOWN;
}

const UNKNOWN = -1;

export function contentOf(index: number): SampleVersion {
  const content = CONTENTS[index];
  if (content === undefined) {
    throw new Error(`there is no content ${index}`);
  }
  return content;
}
