import * as fc from 'fast-check';
import type { BlobRef, Digest } from '../../../proto/wire/digest.ts';
import { never } from '../registry/publish.ts';
import { blobsOf, type ReferenceRegistry, type ReferenceVersion, refuse } from './reference-registry.ts';
import { CONTENTS, names, type Verb } from './verb.ts';

const DAY_SECONDS = 24 * 3600;

interface Target {
  readonly model: string;
  readonly version: number;
}

const target = { model: names.model, version: names.version };

export const deprecateVersion: Verb<Target & { readonly reason: string }> = {
  name: 'deprecate',
  steps: fc.record({ ...target, reason: fc.constantFrom('blurred', '') }),
  perform: async (registry, step) => (await registry.deprecateVersion(step, never)).deprecation,
  expect: (reference, { reason, ...step }) => mark(reference, step, { reason, timeMs: reference.nowMs }),
};

export const undeprecateVersion: Verb<Target> = {
  name: 'undeprecate',
  steps: fc.record(target),
  perform: async (registry, step) => (await registry.undeprecateVersion(step, never)).deprecation,
  expect: (reference, step) => mark(reference, step, undefined),
};

function mark(reference: ReferenceRegistry, { model, version }: Target, deprecation: ReferenceVersion['deprecation']) {
  const found = reference.version(model, version);
  found.deprecation = deprecation;
  return found.deprecation;
}

export const deleteVersion: Verb<Target & { readonly requestId: string }> = {
  name: 'delete',
  steps: fc.record({ ...target, requestId: names.requestId }),
  perform: (registry, step) => registry.deleteVersion({ ...step, actor: 'ada', reason: 'wrong' }, never),
  expect: (reference, { model, version, requestId }) =>
    reference.once({ operation: 'delete', id: requestId, content: [model, version] }, () => {
      reference.version(model, version);
      if (reference.aliases(model).some((event) => event.version === version)) {
        refuse('failed-precondition', 'VERSION_IN_USE');
      }
      const { versions, deleted } = reference.model(model);
      versions.delete(version);
      deleted.add(version);
    }),
};

interface Collection {
  readonly isDryRun: boolean;
  readonly graceSeconds: number;
}

export const collectGarbage: Verb<Collection> = {
  name: 'gc',
  steps: fc.record({ isDryRun: fc.boolean(), graceSeconds: fc.constantFrom(0, DAY_SECONDS, 10 * DAY_SECONDS) }),
  perform: async (registry, step) => {
    const { stagingCount, blobCount, blobBytes, blobs } = await registry.collectGarbage(step, never);
    return { stagingCount, blobCount, blobBytes, digests: blobs.map(({ digest }) => digest).toSorted() };
  },
  expect: (reference, { isDryRun, graceSeconds }) => {
    const beforeMs = reference.nowMs - graceSeconds * 1000;
    const open = reference.stagings.filter(({ version, isEnded }) => version === 0 && !isEnded);
    const abandoned = open.filter(({ createTimeMs }) => createTimeMs <= beforeMs);
    const needed = new Set<Digest>(
      open
        .filter((staging) => !abandoned.includes(staging))
        .flatMap(({ content }) => blobsOf(content))
        .map(({ digest }) => digest),
    );
    const garbage = storedBlobs(reference).filter((blob) => !needed.has(blob.digest) && !reference.isReferenced(blob));
    if (!isDryRun) {
      for (const staging of abandoned) {
        staging.isEnded = true;
      }
      for (const { digest } of garbage) {
        reference.stored.delete(digest);
      }
    }
    return {
      stagingCount: abandoned.length,
      blobCount: garbage.length,
      blobBytes: garbage.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      digests: garbage.map(({ digest }) => digest).toSorted(),
    };
  },
};

/** Time passes; sometimes a clock is set back. */
export const passTime: Verb<{ readonly seconds: number }> = {
  name: 'time',
  steps: fc.record({ seconds: fc.constantFrom(1, 60, DAY_SECONDS, 9 * DAY_SECONDS, -3) }),
  perform: async (_registry, { seconds }, { clock }) => clock.advance(seconds * 1000),
  expect: (reference, { seconds }) => {
    reference.nowMs += seconds * 1000;
  },
};

function storedBlobs({ stored }: ReferenceRegistry): BlobRef[] {
  const all = new Map(CONTENTS.flatMap(blobsOf).map((blob) => [blob.digest, blob]));
  return [...all.values()].filter(({ digest }) => stored.has(digest));
}
