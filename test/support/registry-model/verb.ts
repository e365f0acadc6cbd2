import * as fc from 'fast-check';
import type { Registry } from '../../../registry/release/registry.ts';
import type { ManualClock } from '../registry/manual-clock.ts';
import { type SampleVersion, sampleVersion, seededBytes } from '../registry/sample-version.ts';
import type { Labels, ReferenceRegistry } from './reference-registry.ts';

/** What is tested: registries on one store, and what their answers are needed for later. */
export interface RealRegistry {
  readonly registries: readonly Registry[];
  readonly restoresCollected: boolean;
  readonly clock: ManualClock;
  /** The ids of the reference's stagings. */
  readonly stagingIds: string[];
  /** The places of the reference's watches. */
  readonly cursors: string[];
}

/** A kind of call: how to make it, and what the reference says of it. */
export interface Verb<S> {
  readonly name: string;
  readonly steps: fc.Arbitrary<S>;
  /** Makes the call. The reference stands where it stood before. */
  perform(registry: Registry, step: S, real: RealRegistry, reference: ReferenceRegistry): Promise<unknown>;
  /** What the call has to answer, or the refusal it has to throw. */
  expect(reference: ReferenceRegistry, step: S): unknown;
}

/** Few of everything, so that calls meet. */
export const names = {
  model: fc.constantFrom('m', 'm', 'm', 'm-2', 'n'),
  alias: fc.constantFrom('production', 'production', 'canary'),
  version: fc.constantFrom(1, 2, 1, 2, 3, 4, 5),
  content: fc.integer({ min: 0, max: 3 }),
  staging: fc.integer({ min: 0, max: 6 }),
  labels: fc.constantFrom<Labels>({}, { a: '1' }, { a: '2' }, { a: '1', b: '1' }),
  /** Most requests have none. */
  requestId: fc.constantFrom('', '', '', '', '', '', 'r', 's', 't'),
  pageSize: fc.integer({ min: 1, max: 3 }),
} as const;

/** They share files, one has the same file twice. */
export const CONTENTS: readonly SampleVersion[] = [
  sampleVersion([seededBytes('own 0', 300), seededBytes('shared', 100)]),
  sampleVersion([seededBytes('own 1', 300), seededBytes('shared', 100)]),
  sampleVersion([seededBytes('own 2', 300)]),
  sampleVersion([seededBytes('shared', 100), seededBytes('shared', 100)]),
];

export function contentOf(index: number): SampleVersion {
  const content = CONTENTS[index];
  if (content === undefined) {
    throw new Error(`there is no content ${index}`);
  }
  return content;
}
